#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Puts the axes in another order, values going along (SSD's Permute): axis i of the top is axis
/// order[i] of the bottom. Axes that `order` leaves out follow in their own order.
class PermuteLayer : public Layer {
 public:
  using Layer::Layer;

  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// Calls body(index in the bottom, index in the top) for every value.
  template <typename Body>
  void for_each_pair(const Shape& top, int count, const Body& body) const;

  /// How far apart neighbours along each axis of the top are in the bottom.
  std::vector<int> steps_;
};

}  // namespace vibnet
