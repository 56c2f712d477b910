#include "layers/channel_sums.h"
#include "layers/channelwise_layer.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = max(x, 0) + slope * min(x, 0) with a learned slope, in place if asked (Caffe's PReLU).
///
/// Bottom: N x C x ... Parameter: a slope for each channel, or with channel_shared one for all, as
/// a scalar; filled with 0.25 when there is no filler.
class PReLULayer : public ChannelwiseLayer {
 public:
  using ChannelwiseLayer::ChannelwiseLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
    check_axes(*bottom[0]);
    const PReLUParameter& parameter = parameter_.prelu_param();
    FillerParameter quarter;
    quarter.set_value(0.25f);
    add_blob(is_shared() ? Shape{} : Shape{bottom[0]->shape(1)},
             parameter.has_filler() ? &parameter.filler() : &quarter);
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    check_axes(*bottom[0]);
    ChannelwiseLayer::reshape(bottom, top);
    if (!is_shared() && blobs_[0]->count() != layout().channels)
      fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ",
           layout().channels);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    ChannelRule rule = ChannelRule::pointwise(ChannelRule::Homogeneous::FOR_POSITIVE);
    rule.channel_blobs = is_shared() ? 0 : 1;
    return rule;
  }

  void begin_forward(const Blobs& /*bottom*/) override { slopes_ = blobs_[0]->cpu_data(); }

  void forward_block(const ChannelBlock& block, const float* x, float* y) override {
    kernels().blocks.scale_by_sign(x, slope(block.channel), x, y, block.count());
  }

  void begin_backward() override { sums_.clear(layout().channels); }

  void backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                      const float* dy, float* dx) override {
    float products = 0;
#pragma omp simd reduction(+ : products)
    for (int i = 0; i < block.count(); ++i) products += dy[i] * (x[i] > 0 ? 0 : x[i]);
    sums_.add(block.channel, products);
    kernels().blocks.scale_by_sign(x, slope(block.channel), dy, dx, block.count());
  }

  void end_backward(const std::vector<bool>& /*propagate_down*/, const Blobs& /*bottom*/) override {
    if (!learns(0)) return;
    float* gradient = blobs_[0]->mutable_cpu_diff();
    if (!is_shared()) return sums_.add_to(gradient);
    for (int c = 0; c < layout().channels; ++c) *gradient += static_cast<float>(sums_[c]);
  }

 private:
  bool is_shared() const { return parameter_.prelu_param().channel_shared(); }

  void check_axes(const Blob& x) const {
    if (x.axes() < 2) fail("needs a bottom of at least 2 axes, not ", to_string(x.shape()));
  }

  float slope(int channel) const { return slopes_[is_shared() ? 0 : channel]; }

  const float* slopes_ = nullptr;
  ChannelSums sums_;
};

REGISTER_LAYER(PReLU, CPU, PReLULayer);

}  // namespace vibnet
