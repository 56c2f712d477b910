#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Cuts the bottom along `axis` at the slice_points, or into equal parts (Caffe's Slice).
class SliceLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount top_count() const override { return {1, BlobCount::kAny}; }
  bool shares_data() const override { return parameter_.top_size() == 1; }
  bool shares_diff() const override { return shares_data(); }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& top) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  std::vector<int> find_ends(int size, int parts) const;
  std::vector<int> equal_ends(int size, int parts) const;

  int axis_ = 1;
};

}  // namespace vibnet
