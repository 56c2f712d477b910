#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/update_factors.h"
#include "vibnet/device.h"
#include "vibnet/net.h"

namespace vibnet {

class GradientSum;

/// What a training run does in an iteration around its net's layers.
struct IterationWork {
  std::function<void()> clear_gradients;
  /// What does the last pass's backward; null where that is the net's own.
  GradientSum* gradient_sum = nullptr;
  UpdateFactors factors;
  /// Empty where it is not to be done yet, since somebody looks before it.
  std::function<void()> update;
  /// Whether `update` also keeps settled units on their sides: another graph.
  bool keeps_sides = false;
};

/// Runs a training run's passes, and keeps the losses of its last `average` iterations. A GPU's are
/// read an iteration later, or when they are asked for, so that an iteration does not wait for
/// itself; all of them, since they are averaged, and must be finite.
class Passes {
 public:
  explicit Passes(int average) : average_(average) {}
  Passes(const Passes&) = delete;
  Passes& operator=(const Passes&) = delete;
  virtual ~Passes() = default;

  /// Runs the net forward and backward in each pass of its context's iteration, whose loss is the
  /// passes' mean. Throws Error where a loss that has been read is not finite, as the others do.
  virtual void run(const IterationWork& work, Net* net) = 0;
  double mean();
  /// From the oldest on.
  const std::vector<double>& recent();
  void set_recent(std::vector<double> losses) { recent_ = std::move(losses); }

 protected:
  /// Waits for what has not been read yet.
  virtual void read() {}
  void append(std::int64_t iteration, double loss);
  static void run_backward(const IterationWork& work, Net* net);

 private:
  int average_;
  std::vector<double> recent_;
};

using PassesFactory = std::unique_ptr<Passes> (*)(int average);

std::unique_ptr<Passes> make_passes(const Device& device, int average);

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_passes(PassesFactory factory);

}  // namespace vibnet
