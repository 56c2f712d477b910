#pragma once

// For .cu files only.

#include <cstdint>

#include "core/step_on_gpu.h"
#include "layers/gate_layer.h"

namespace vibnet {

/// A unit's factor, and its derivatives by the unit's parameters, of which there are up to two.
struct GateFactor {
  float value;
  float by[2];
};

/// What a unit adds to a gate's kl(), and its derivatives likewise.
struct GateKL {
  double value;
  double by[2];
};

/// The factors of a pass, drawn where they are needed and never stored. `Rule`, for the device:
///   Random4 draw(key, iteration, sample, block)   four units' noise
///   GateFactor in_train(unit, noise)
///   GateFactor in_test(unit)
///   GateKL kl(unit)
///   bool is_kept(unit)
///   void settle(unit, kept, blobs)                to that side, see GateLayer::settle
template <typename Rule>
struct GateFactors {
  Rule rule;
  bool is_training;
  RandomKey key;
  StepOnGpu step;
  int samples;
  /// As in GateLayer.
  const int* numbers;
  const float* pressures;

  __device__ bool is_frozen(int unit) const { return numbers[unit] < 0; }
  __device__ GateFactor of(int sample, int unit) const {
    if (is_frozen(unit)) return {};
    if (!is_training) return rule.in_test(unit);
    const int number = numbers[unit];
    const Step now = step.get();
    const Random4 noise =
        rule.draw(key, now.iteration, step.first_sample(now.pass, samples) + sample, number / 4);
    return rule.in_train(unit, noise.values[number % 4]);
  }
  __device__ GateKL kl(int unit) const {
    if (is_frozen(unit) || pressures[unit] == 0) return {};
    return rule.kl(unit);
  }
};

}  // namespace vibnet
