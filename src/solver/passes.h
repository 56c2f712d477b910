#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vibnet/device.h"
#include "vibnet/net.h"

namespace vibnet {

class GradientSum;

/// Runs a training run's passes, and keeps the losses of its last `average` iterations. A GPU's are
/// read an iteration later, or when they are asked for, so that an iteration does not wait for
/// itself.
class Passes {
 public:
  explicit Passes(int average) : average_(average) {}
  Passes(const Passes&) = delete;
  Passes& operator=(const Passes&) = delete;
  virtual ~Passes() = default;

  /// Runs the net forward and backward: a pass of this iteration, whose loss is the passes' mean.
  /// Backward is the gradient sum's where there is one.
  virtual void run(Net* net, GradientSum* gradient_sum) = 0;
  /// Ends the iteration. Throws Error where a loss that has been read is not finite, as the others
  /// do.
  virtual void end(std::int64_t iteration, int passes) = 0;
  double mean();
  /// From the oldest on.
  const std::vector<double>& recent();
  void set_recent(std::vector<double> losses) { recent_ = std::move(losses); }

 protected:
  /// Waits for what has not been read yet.
  virtual void read() {}
  void append(std::int64_t iteration, double loss);

 private:
  int average_;
  std::vector<double> recent_;
};

using PassesFactory = std::unique_ptr<Passes> (*)(int average);

std::unique_ptr<Passes> make_passes(const Device& device, int average);

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_passes(PassesFactory factory);

}  // namespace vibnet
