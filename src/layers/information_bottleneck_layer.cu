#include "layers/information_bottleneck_layer.h"

#include "layers/gate_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class InformationBottleneckLayerGPU : public GateOnGPU<InformationBottleneckLayer, BottleneckRule> {
 public:
  using GateOnGPU::GateOnGPU;

 private:
  BottleneckRule rule() const override {
    return {blobs_[0]->gpu_data(), blobs_[1]->gpu_data(), gate_threshold(parameter_)};
  }
};

REGISTER_LAYER(InformationBottleneck, GPU, InformationBottleneckLayerGPU);

}  // namespace vibnet
