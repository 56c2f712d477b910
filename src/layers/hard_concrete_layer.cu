#include "layers/hard_concrete_layer.h"

#include "layers/gate_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

struct HardConcreteRule {
  const float* log_alpha;
  StretchedSigmoid gate;
  float beta;
  double open_shift;

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

}  // namespace

class HardConcreteLayerGPU : public GateOnGPU<HardConcreteLayer, HardConcreteRule> {
 public:
  using GateOnGPU::GateOnGPU;

 protected:
  HardConcreteRule rule() const override {
    return {blobs_[0]->gpu_data(), stretched_sigmoid(), gate().beta(), open_shift()};
  }
};

REGISTER_LAYER(HardConcrete, GPU, HardConcreteLayerGPU);

}  // namespace vibnet
