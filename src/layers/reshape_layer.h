#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Gives the values another shape (Caffe's Reshape).
///
/// `shape` replaces the num_axes axes from `axis` on (-1: all; a negative axis counts from behind
/// the last). A dim of 0 is the bottom's at that place, and -1 is what is left over.
class ReshapeLayer : public Layer {
 public:
  using Layer::Layer;

  bool shares_data() const override { return true; }
  bool shares_diff() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& bottom) override;

 protected:
  Shape shape_after(const Blob& x) const;

  /// What the axis of a shape that counts it as 1 must be.
  int what_is_left(const Blob& x, const Shape& shape) const;
};

}  // namespace vibnet
