#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Hands one blob to several readers and sums their gradients (Caffe's Split). The net inserts it.
class SplitLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount top_count() const override { return {1, BlobCount::kAny}; }
  bool shares_data() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
};

}  // namespace vibnet
