#include "layers/relu_layer.h"

#include "layers/channel_pass_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ReLULayerGPU : public ChannelwiseOnGPU<ReLULayer> {
 public:
  using ChannelwiseOnGPU::ChannelwiseOnGPU;

  PassMember forward_member(const Blobs& /*bottom*/) override {
    return RectifierMember{negative_slope()};
  }
  PassMember backward_member(const std::vector<bool>& /*propagate_down*/,
                             const Blobs& bottom) override {
    return forward_member(bottom);
  }
};

REGISTER_LAYER(ReLU, GPU, ReLULayerGPU);

}  // namespace vibnet
