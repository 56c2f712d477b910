#pragma once

#include <vector>

#include "layers/broadcast_layer.h"
#include "layers/channel_sums.h"

namespace vibnet {

/// y = x + bias, the bias broadcast over the axes it does not have, in place if asked (Caffe's
/// Bias).
///
/// Bottoms: x, outer x bias x inner around `axis`; the bias, unless it is a parameter. Parameter:
/// the bias, of num_axes axes of x from `axis` on.
class BiasLayer : public BroadcastLayer {
 public:
  using BroadcastLayer::BroadcastLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  bool can_follow() const override { return !bias_is_bottom_; }
  bool needs_x() const override { return false; }
  bool reads_tops(const Blobs& /*bottom*/, const Blobs& /*top*/) const override { return false; }
  void begin_forward(const Blobs& bottom) override;
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void begin_backward(int parts) override { sums_.begin(layout().channels, parts); }
  void backward_block(const ChannelBlock& block, const float* /*x*/, const float* /*y*/,
                      const float* dy, float* dx) override;
  void end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) override;

 protected:
  Blob& bias(const Blobs& bottom) const { return bias_is_bottom_ ? *bottom[1] : *blobs_[0]; }

  bool bias_is_bottom_ = false;
  const float* shifts_ = nullptr;
  ChannelSums sums_;
};

}  // namespace vibnet
