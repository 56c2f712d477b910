#pragma once

#include <memory>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Spatial pyramid pooling (Caffe's SPP): level i pools the planes into 2^i x 2^i bins, for i below
/// pyramid_height, and the top is all levels side by side, N x (C * all bins), whatever H and W.
///
/// Bottom: N x C x H x W, with planes large enough that no bin lies in the padding. A pyramid of
/// one level is a global Pooling: its top is N x C x 1 x 1.
class SPPLayer : public Layer {
 public:
  using Layer::Layer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// A Pooling with a bottom of its own, which shares the data but not the gradient.
  struct Level {
    std::unique_ptr<Layer> pooling;
    Blob bottom;
    Blob top;
  };

  const SPPParameter& parameter() const { return parameter_.spp_param(); }

  /// The Pooling whose windows, side by side, cover the planes with 2^level bins a side.
  LayerParameter pooling_of(int level, const Blob& x) const;

  /// Calls body(level, sample, the level's values of a sample, where they begin in the top).
  template <typename Body>
  void for_each_row(const Blobs& top, const Body& body);

  std::vector<Level> levels_;
};

}  // namespace vibnet
