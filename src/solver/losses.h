#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vibnet/device.h"
#include "vibnet/net.h"

namespace vibnet {

/// A training run's losses, of the last `average` iterations. A GPU's are read an iteration later,
/// or when they are asked for, so that an iteration does not wait for itself.
class Losses {
 public:
  explicit Losses(int average) : average_(average) {}
  Losses(const Losses&) = delete;
  Losses& operator=(const Losses&) = delete;
  virtual ~Losses() = default;

  /// Runs the net forward: a pass of this iteration, whose loss is the passes' mean.
  virtual void forward(Net* net) = 0;
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

using LossesFactory = std::unique_ptr<Losses> (*)(int average);

std::unique_ptr<Losses> make_losses(const Device& device, int average);

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_losses(LossesFactory factory);

}  // namespace vibnet
