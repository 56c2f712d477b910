#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Joins the axes from `axis` to `end_axis` into one, values untouched (Caffe's Flatten).
class FlattenLayer : public Layer {
 public:
  using Layer::Layer;

  bool shares_data() const override { return true; }
  bool shares_diff() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& bottom) override;
};

}  // namespace vibnet
