#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Joins the bottoms along `axis` (Caffe's Concat).
class ConcatLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {1, BlobCount::kAny}; }
  bool shares_data() const override { return parameter_.bottom_size() == 1; }
  bool shares_diff() const override { return shares_data(); }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  int axis_ = 1;
};

}  // namespace vibnet
