#include "solver/losses.h"

#include <cmath>
#include <numeric>

#include "vibnet/error.h"

namespace vibnet {
namespace {

LossesFactory& gpu_factory() {
  static LossesFactory factory = nullptr;
  return factory;
}

class LossesCPU : public Losses {
 public:
  using Losses::Losses;

  void forward(Net* net) override { sum_ += net->forward(); }
  void end(std::int64_t iteration, int passes) override {
    const double loss = sum_ / passes;
    sum_ = 0;
    append(iteration, loss);
  }

 private:
  double sum_ = 0;
};

}  // namespace

double Losses::mean() {
  read();
  return std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
}

const std::vector<double>& Losses::recent() {
  read();
  return recent_;
}

void Losses::append(std::int64_t iteration, double loss) {
  if (!std::isfinite(loss))
    fail("iteration ", iteration, ": the loss is ", loss, "; lower base_lr, or set clip_gradients");
  recent_.push_back(loss);
  if (static_cast<int>(recent_.size()) > average_) recent_.erase(recent_.begin());
}

std::unique_ptr<Losses> make_losses(const Device& device, int average) {
  if (device.type == DeviceType::GPU) return gpu_factory()(average);
  return std::make_unique<LossesCPU>(average);
}

bool register_gpu_losses(LossesFactory factory) {
  gpu_factory() = factory;
  return true;
}

}  // namespace vibnet
