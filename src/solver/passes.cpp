#include "solver/passes.h"

#include <cmath>
#include <numeric>

#include "solver/gradient_sum.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

PassesFactory& gpu_factory() {
  static PassesFactory factory = nullptr;
  return factory;
}

class PassesCPU : public Passes {
 public:
  using Passes::Passes;

  void run(Net* net, GradientSum* gradient_sum) override {
    sum_ += net->forward();
    gradient_sum != nullptr ? gradient_sum->backward(net) : net->backward();
  }
  void end(std::int64_t iteration, int passes) override {
    const double loss = sum_ / passes;
    sum_ = 0;
    append(iteration, loss);
  }

 private:
  double sum_ = 0;
};

}  // namespace

double Passes::mean() {
  read();
  return std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
}

const std::vector<double>& Passes::recent() {
  read();
  return recent_;
}

void Passes::append(std::int64_t iteration, double loss) {
  if (!std::isfinite(loss))
    fail("iteration ", iteration, ": the loss is ", loss, "; lower base_lr, or set clip_gradients");
  recent_.push_back(loss);
  if (static_cast<int>(recent_.size()) > average_) recent_.erase(recent_.begin());
}

std::unique_ptr<Passes> make_passes(const Device& device, int average) {
  if (device.type == DeviceType::GPU) return gpu_factory()(average);
  return std::make_unique<PassesCPU>(average);
}

bool register_gpu_passes(PassesFactory factory) {
  gpu_factory() = factory;
  return true;
}

}  // namespace vibnet
