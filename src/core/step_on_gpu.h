#pragma once

// For CUDA sources only.

#include <cstdint>

#include "core/update_factors.h"
#include "vibnet/context.h"

namespace vibnet {

/// What a kernel asks of its net's context that is another in each pass, and an update of its
/// iteration.
struct Step {
  std::int64_t iteration;
  int pass;
  float kl_weight;
  /// Where recorded work looks for them; an update that is not recorded has its own.
  UpdateFactors factors;
};

/// Where a kernel finds it: recorded work, which is done again in other passes, on the device.
class StepOnGpu {
 public:
  explicit StepOnGpu(const Context& context)
      : step_(of(context)),
        now_(recorded_for()),
        ranks_(context.ranks->size()),
        rank_(context.ranks->rank()),
        passes_(context.passes) {}

  static Step of(const Context& context) {
    return {context.iteration, context.pass, context.kl_weight, {}};
  }
  /// The device's step that this thread's work is for, null for that of the context.
  static const Step*& recorded_for() {
    thread_local const Step* step = nullptr;
    return step;
  }

  __device__ Step get() const { return now_ != nullptr ? *now_ : step_; }
  /// As the context's.
  __device__ std::int64_t batch() const {
    const Step step = get();
    return batch_number(step.iteration, passes_, step.pass);
  }
  __device__ std::uint32_t first_sample(std::int64_t batch, int samples) const {
    return static_cast<std::uint32_t>(first_sample_number(batch, ranks_, rank_, samples));
  }

 private:
  Step step_;
  const Step* now_;
  int ranks_;
  int rank_;
  int passes_;
};

}  // namespace vibnet
