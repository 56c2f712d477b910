#pragma once

// For .cu files only: what each kind of gate draws and adds to kl(), as GateFactors asks for it.

#include <cstdint>

#include "layers/gate_factors_gpu.h"
#include "layers/hard_concrete_layer.h"
#include "layers/information_bottleneck_layer.h"

namespace vibnet {

struct BottleneckRule {
  const float* mu;
  const float* log_sigma2;
  float threshold;

  __device__ bool is_kept(int unit) const {
    return bottleneck_unit(mu[unit], log_sigma2[unit]).score < threshold;
  }
  __device__ void settle(int unit, bool kept, float* const* blobs) const {
    settle_bottleneck(threshold, kept, &blobs[0][unit], &blobs[1][unit]);
  }

  __device__ Random4 draw(RandomKey key, std::uint64_t iteration, std::uint32_t sample,
                          std::uint32_t block) const {
    return normal4(key, iteration, sample, block);
  }
  __device__ GateFactor in_train(int unit, float eps) const {
    const float noise = expf(0.5f * log_sigma2[unit]) * eps;
    return {mu[unit] + noise, {1, 0.5f * noise}};
  }
  __device__ GateFactor in_test(int unit) const {
    const GateUnit gate = bottleneck_unit(mu[unit], log_sigma2[unit]);
    return gate.score < threshold ? GateFactor{gate.factor, {1, 0}} : GateFactor{};
  }
  __device__ GateKL kl(int unit) const {
    const double weight = 1 / second_moment(mu[unit], log_sigma2[unit]);
    return {bottleneck_kl(mu[unit], log_sigma2[unit]),
            {weight * mu[unit], -0.5 * weight * mu[unit] * mu[unit]}};
  }
};

struct HardConcreteRule {
  const float* log_alpha;
  StretchedSigmoid gate;
  float beta;
  double open_shift;

  __device__ bool is_kept(int unit) const {
    return hard_concrete_unit(gate.left, gate.right, log_alpha[unit]).score < 0;
  }
  __device__ void settle(int unit, bool kept, float* const* blobs) const {
    settle_hard_concrete(gate.left, gate.right, kept, &blobs[0][unit]);
  }

  __device__ Random4 draw(RandomKey key, std::uint64_t iteration, std::uint32_t sample,
                          std::uint32_t block) const {
    return uniform4(key, iteration, sample, block);
  }
  __device__ GateFactor in_train(int unit, float u) const {
    const GateDraw drawn = gate.at((logf(u) - log1pf(-u) + log_alpha[unit]) / beta, 1 / beta);
    return {drawn.factor, {drawn.slope, 0}};
  }
  __device__ GateFactor in_test(int unit) const {
    const GateUnit kept = hard_concrete_unit(gate.left, gate.right, log_alpha[unit]);
    return {kept.score < 0 ? kept.factor : 0, {gate.at(log_alpha[unit], 1).slope, 0}};
  }
  __device__ GateKL kl(int unit) const {
    const double open = precise_sigmoid(log_alpha[unit] - open_shift);
    return {open, {open * (1 - open), 0}};
  }
};

}  // namespace vibnet
