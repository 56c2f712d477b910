#pragma once

#include <vector>

#include "layers/channel_sums.h"
#include "layers/channelwise_layer.h"

namespace vibnet {

/// y = max(x, 0) + slope * min(x, 0) with a learned slope, in place if asked (Caffe's PReLU).
///
/// Bottom: N x C x ... Parameter: a slope for each channel, or with channel_shared one for all, as
/// a scalar; filled with 0.25 when there is no filler.
class PReLULayer : public ChannelwiseLayer {
 public:
  using ChannelwiseLayer::ChannelwiseLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  void begin_forward(const Blobs& /*bottom*/) override;
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void begin_backward(int parts) override { sums_.begin(layout().channels, parts); }
  void backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                      const float* dy, float* dx) override;
  void end_backward(const std::vector<bool>& /*propagate_down*/, const Blobs& /*bottom*/) override;

 protected:
  bool is_shared() const { return parameter_.prelu_param().channel_shared(); }
  void check_axes(const Blob& x) const;
  float slope(int channel) const { return slopes_[is_shared() ? 0 : channel]; }

  const float* slopes_ = nullptr;
  ChannelSums sums_;
};

}  // namespace vibnet
