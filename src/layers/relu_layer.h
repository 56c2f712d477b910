#pragma once

#include "layers/channelwise_layer.h"

namespace vibnet {

/// y = max(x, 0) + negative_slope * min(x, 0), in place if asked (Caffe's ReLU).
class ReLULayer : public ChannelwiseLayer {
 public:
  using ChannelwiseLayer::ChannelwiseLayer;

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise(ChannelRule::Homogeneous::FOR_POSITIVE);
  }
  bool is_uniform() const override { return true; }
  float negative_slope() const { return parameter_.relu_param().negative_slope(); }
  /// With a slope below 0, y does not say which sign x had.
  bool needs_x() const override { return negative_slope() < 0; }
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void backward_block(const ChannelBlock& block, const float* x, const float* y, const float* dy,
                      float* dx) override;
};

}  // namespace vibnet
