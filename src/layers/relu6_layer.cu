#include "layers/relu6_layer.h"

#include "layers/channel_pass_gpu.h"
#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

class ReLU6LayerGPU : public ChannelwiseOnGPU<ElementwiseLayer<ReLU6Formula>> {
 public:
  using ChannelwiseOnGPU::ChannelwiseOnGPU;

  PassMember forward_member(const Blobs& /*bottom*/) override { return RectifierMember{0, 6}; }
  PassMember backward_member(const std::vector<bool>& /*propagate_down*/,
                             const Blobs& bottom) override {
    return forward_member(bottom);
  }
};

REGISTER_LAYER(ReLU6, GPU, ReLU6LayerGPU);

}  // namespace vibnet
