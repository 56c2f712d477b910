#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Passes on the samples whose selector is not 0 (Caffe's Filter).
///
/// Bottoms: any number of N x ..., and the selector last, N x 1 x ..., which has no gradient; tops:
/// one for each bottom before it, with as many samples as the selector lets through. That is known
/// only once there is data: when the net is made, the tops are as large as the bottoms.
class FilterLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, BlobCount::kAny}; }
  BlobCount top_count() const override { return {1, BlobCount::kAny}; }
  bool has_gradient(int bottom) const override { return bottom < filtered_; }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// Bottoms before the selector.
  int filtered_ = 0;
  bool has_data_ = false;
  std::vector<int> passed_;
};

}  // namespace vibnet
