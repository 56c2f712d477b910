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

  void run(const IterationWork& work, Net* net) override {
    Context& now = net->context();
    double sum = 0;
    work.clear_gradients();
    for (now.pass = 0; now.pass < now.passes; ++now.pass) {
      sum += net->forward();
      run_backward(work, net);
    }
    append(now.iteration, sum / now.passes);
    if (work.update) work.update();
  }
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

void Passes::run_backward(const IterationWork& work, Net* net) {
  const bool is_last = net->context().pass + 1 == net->context().passes;
  GradientSum* sum = is_last ? work.gradient_sum : nullptr;
  sum != nullptr ? sum->backward(net) : net->backward();
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
