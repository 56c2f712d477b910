#include "layers/scale_layer.h"

#include "layers/channel_pass_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ScaleLayerGPU : public ChannelwiseOnGPU<ScaleLayer> {
 public:
  using ChannelwiseOnGPU::ChannelwiseOnGPU;

  PassMember forward_member(const Blobs& bottom) override {
    return LinearMember{scale(bottom).gpu_data(), has_bias() ? bias().gpu_data() : nullptr};
  }

  /// Also writes the gradient of a scale that is a bottom.
  PassMember backward_member(const std::vector<bool>& propagate_down,
                             const Blobs& bottom) override {
    const bool wants_scale = scale_is_bottom_ ? propagate_down[1] : learns(0);
    const bool wants_bias = has_bias() && learns(static_cast<int>(blobs_.size()) - 1);
    PassMember member = forward_member(bottom);
    member.has_sums = wants_scale || wants_bias;
    if (wants_scale) member.linear.d_factors = scale(bottom).mutable_gpu_diff();
    if (wants_bias) member.linear.d_shifts = bias().mutable_gpu_diff();
    member.linear.sets_factors = scale_is_bottom_;
    return member;
  }
};

REGISTER_LAYER(Scale, GPU, ScaleLayerGPU);

}  // namespace vibnet
