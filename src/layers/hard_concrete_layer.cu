#include "layers/hard_concrete_layer.h"

#include "layers/gate_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class HardConcreteLayerGPU : public GateOnGPU<HardConcreteLayer, HardConcreteRule> {
 public:
  using GateOnGPU::GateOnGPU;

 private:
  HardConcreteRule rule() const override {
    return {blobs_[0]->gpu_data(), stretched_sigmoid(), gate().beta(), open_shift()};
  }
};

REGISTER_LAYER(HardConcrete, GPU, HardConcreteLayerGPU);

}  // namespace vibnet
