#pragma once

#include <vector>

#include "layers/broadcast_layer.h"
#include "layers/channel_sums.h"

namespace vibnet {

/// y = x * scale + bias, the scale broadcast over the axes it does not have, in place if asked
/// (Caffe's Scale).
///
/// Bottoms: x, outer x scale x inner around `axis`; the scale, unless it is a parameter.
/// Parameters: the scale, of num_axes axes of x from `axis` on; the bias of the same shape with
/// bias_term.
class ScaleLayer : public BroadcastLayer {
 public:
  using BroadcastLayer::BroadcastLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override;
  bool can_follow() const override { return !scale_is_bottom_; }
  void begin_forward(const Blobs& bottom) override;
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void begin_backward(int parts) override;
  void backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                      const float* dy, float* dx) override;
  void end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) override;

 protected:
  /// A factor for each sample and channel, as squeeze-and-excitation has it.
  ChannelRule rule_of_two(const Blobs& bottom) const;
  bool has_bias() const { return parameter_.scale_param().bias_term(); }
  Blob& scale(const Blobs& bottom) const { return scale_is_bottom_ ? *bottom[1] : *blobs_[0]; }
  Blob& bias() const { return *blobs_.back(); }

  bool scale_is_bottom_ = false;
  const float* factors_ = nullptr;
  const float* shifts_ = nullptr;
  ChannelSums scale_sums_;
  ChannelSums bias_sums_;
};

}  // namespace vibnet
