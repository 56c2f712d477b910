#include <algorithm>
#include <cstdint>
#include <vector>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = max(x, 0) + slope * min(x, 0) with a learned slope, in place if asked (Caffe's PReLU).
///
/// Bottom: N x C x ... Parameter: a slope for each channel, or with channel_shared one for all, as
/// a scalar; filled with 0.25 when there is no filler.
class PReLULayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }

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
    channels_ = bottom[0]->shape(1);
    if (!is_shared() && blobs_[0]->count() != channels_)
      fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ", channels_);
    planes_ = std::int64_t{bottom[0]->shape(0)} * channels_;
    inner_ = bottom[0]->count(2);
    top[0]->reshape_like(*bottom[0]);
    if (bottom[0] == top[0]) kept_x_.reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    ChannelRule rule = ChannelRule::pointwise(ChannelRule::Homogeneous::FOR_POSITIVE);
    rule.channel_blobs = is_shared() ? 0 : 1;
    return rule;
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    if (bottom[0] == top[0]) std::copy_n(x, bottom[0]->count(), kept_x_.mutable_cpu_data());
    scale_negative(x, x, top[0]->mutable_cpu_data());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* x = bottom[0] == top[0] ? kept_x_.cpu_data() : bottom[0]->cpu_data();
    const float* dy = top[0]->cpu_diff();
    if (learns(0)) add_slope_gradients(x, dy);
    if (propagate_down[0]) scale_negative(x, dy, bottom[0]->mutable_cpu_diff());
  }

 private:
  bool is_shared() const { return parameter_.prelu_param().channel_shared(); }

  void check_axes(const Blob& x) const {
    if (x.axes() < 2) fail("needs a bottom of at least 2 axes, not ", to_string(x.shape()));
  }

  /// Copies, times the slope where x is not positive.
  void scale_negative(const float* x, const float* from, float* to) const {
    const float* slopes = blobs_[0]->cpu_data();
    const int stride = is_shared() ? 0 : 1;
    parallel_for(planes_, grain_of(inner_), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const float slope = slopes[plane % channels_ * stride];
        for (std::int64_t i = plane * inner_; i < (plane + 1) * inner_; ++i)
          to[i] = x[i] > 0 ? from[i] : slope * from[i];
      }
    });
  }

  void add_slope_gradients(const float* x, const float* dy) {
    std::vector<double> sums(channels_);
    const std::int64_t samples = channels_ == 0 ? 0 : planes_ / channels_;
    parallel_for(channels_, grain_of(samples * inner_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c)
        for (std::int64_t plane = c; plane < planes_; plane += channels_)
          for (std::int64_t i = plane * inner_; i < (plane + 1) * inner_; ++i)
            if (x[i] <= 0) sums[c] += dy[i] * x[i];
    });
    float* dslope = blobs_[0]->mutable_cpu_diff();
    for (int c = 0; c < channels_; ++c) dslope[is_shared() ? 0 : c] += static_cast<float>(sums[c]);
  }

  int channels_ = 0;
  std::int64_t planes_ = 0;
  int inner_ = 0;
  /// x of an in-place forward.
  Blob kept_x_;
};

REGISTER_LAYER(PReLU, CPU, PReLULayer);

}  // namespace vibnet
