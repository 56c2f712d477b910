#pragma once

#include "vibnet/layer.h"

namespace vibnet {

/// y = 1 where x > threshold, else 0; in place if asked. It has no gradient (Caffe's Threshold).
class ThresholdLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override { top[0]->reshape_like(*bottom[0]); }
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
};

}  // namespace vibnet
