#include "layers/prelu_layer.h"

#include "layers/channel_pass_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class PReLULayerGPU : public ChannelwiseOnGPU<PReLULayer> {
 public:
  using ChannelwiseOnGPU::ChannelwiseOnGPU;

  PassMember forward_member(const Blobs& /*bottom*/) override {
    RectifierMember member{0};
    member.slopes = blobs_[0]->gpu_data();
    member.shares_slope = is_shared();
    return member;
  }

  PassMember backward_member(const std::vector<bool>& /*propagate_down*/,
                             const Blobs& bottom) override {
    PassMember member = forward_member(bottom);
    member.has_sums = learns(0);
    if (!learns(0)) return member;
    if (is_shared()) of_channels_.reshape({layout().channels});
    Blob& gradient = is_shared() ? of_channels_ : *blobs_[0];
    member.rectifier.d_slopes =
        is_shared() ? gradient.mutable_gpu_data() : gradient.mutable_gpu_diff();
    return member;
  }

  void end_sums_on_gpu() override {
    if (!is_shared() || !learns(0)) return;
    const float* of_channels = of_channels_.gpu_data();
    float* gradient = blobs_[0]->mutable_gpu_diff();
    sum_rows_gpu(
        1, layout().channels,
        [=] __device__(int, int c) {
          return Sums{of_channels[c], 0};
        },
        [=] __device__(int, const Sums& sums) { *gradient += static_cast<float>(sums.first); });
  }

 private:
  /// The gradients by a slope that all share.
  Blob of_channels_;
};

REGISTER_LAYER(PReLU, GPU, PReLULayerGPU);

}  // namespace vibnet
