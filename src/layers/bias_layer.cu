#include "layers/bias_layer.h"

#include "layers/channel_pass_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class BiasLayerGPU : public ChannelwiseOnGPU<BiasLayer> {
 public:
  using ChannelwiseOnGPU::ChannelwiseOnGPU;

  PassMember forward_member(const Blobs& bottom) override {
    return LinearMember{nullptr, bias(bottom).gpu_data()};
  }

  PassMember backward_member(const std::vector<bool>& propagate_down,
                             const Blobs& bottom) override {
    PassMember member = forward_member(bottom);
    member.has_sums = bias_is_bottom_ ? propagate_down[1] : learns(0);
    if (member.has_sums) member.linear.d_shifts = bias(bottom).mutable_gpu_diff();
    member.linear.sets_shifts = bias_is_bottom_;
    return member;
  }
};

REGISTER_LAYER(Bias, GPU, BiasLayerGPU);

}  // namespace vibnet
