#pragma once

#include "vibnet/layer.h"

namespace vibnet {

/// y = max(x, 0) + negative_slope * min(x, 0), in place if asked (Caffe's ReLU).
class ReLULayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override { top[0]->reshape_like(*bottom[0]); }
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise(ChannelRule::Homogeneous::FOR_POSITIVE);
  }
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  float negative_slope() const { return parameter_.relu_param().negative_slope(); }
};

}  // namespace vibnet
