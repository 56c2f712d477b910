#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// y = x * s^-beta, where s grows with the squares of the values around x (Caffe's LRN).
///
/// Bottom and top: N x C x H x W. ACROSS_CHANNELS: s = k + alpha / local_size * the sum of the
/// squares in local_size neighbouring channels. WITHIN_CHANNEL: s = 1 + alpha / local_size^2 * the
/// sum over a square of local_size x local_size pixels; k plays no part. What lies outside is 0.
class LRNLayer : public Layer {
 public:
  using Layer::Layer;

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    const int size = size_of("local_size", parameter().local_size());
    if (size % 2 == 0) fail("local_size must be odd, not ", size);
    radius_ = size / 2;
    const float values = static_cast<float>(size) * (is_across() ? 1.0f : static_cast<float>(size));
    factor_ = parameter().alpha() / values;
    shift_ = is_across() ? parameter().k() : 1;
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0]->axes() != 4)
      fail("works on N x C x H x W, and the bottom is ", to_string(bottom[0]->shape()));
    top[0]->reshape_like(*bottom[0]);
    scale_.reshape_like(*bottom[0]);
    sums_.reshape_like(*bottom[0]);
  }

  bool reads_tops(const Blobs& /*bottom*/, const Blobs& /*top*/) const override { return true; }
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    if (is_across()) return ChannelRule::wall();
    return ChannelRule::each(ChannelRule::Constants::ZERO, ChannelRule::Homogeneous::NEVER);
  }

  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  const LRNParameter& parameter() const { return parameter_.lrn_param(); }
  bool is_across() const { return parameter().norm_region() == LRNParameter::ACROSS_CHANNELS; }
  float beta() const { return parameter().beta(); }

  int radius_ = 0;
  float factor_ = 0;
  float shift_ = 1;
  Blob scale_;

 private:
  template <typename Body>
  void for_each_value(const Body& body) const;
  void sum_windows(Blob* values);
  void sum_along(int axis, Blob* values);

  Blob sums_;
  Blob ratios_;
};

}  // namespace vibnet
