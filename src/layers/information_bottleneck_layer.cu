#include "layers/information_bottleneck_layer.h"

#include "layers/gate_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

struct BottleneckRule {
  const float* mu;
  const float* log_sigma2;
  float threshold;

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

}  // namespace

class InformationBottleneckLayerGPU : public GateOnGPU<InformationBottleneckLayer, BottleneckRule> {
 public:
  using GateOnGPU::GateOnGPU;

 protected:
  BottleneckRule rule() const override {
    return {blobs_[0]->gpu_data(), blobs_[1]->gpu_data(), gate_threshold(parameter_)};
  }
};

REGISTER_LAYER(InformationBottleneck, GPU, InformationBottleneckLayerGPU);

}  // namespace vibnet
