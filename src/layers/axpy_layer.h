#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// a x + y with one a for each sample and channel: the end of a squeeze-and-excitation block
/// (SENet's Axpy).
///
/// Bottoms: a, N x C or N x C x 1 x 1; x and y, N x C x ... Top: as x.
class AxpyLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {3, 3}; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// Calls body(plane, begin, end) for the values of each sample's channel.
  template <typename Body>
  void for_each_plane(const Blob& a, const Body& body) const;

  int inner_ = 0;
};

}  // namespace vibnet
