#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Repeats the bottom `tiles` times along `axis` (Caffe's Tile).
class TileLayer : public Layer {
 public:
  using Layer::Layer;

  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  template <typename Body>
  void for_each_row(const Body& body) const;

  int tiles_ = 1;
  int rows_ = 0;
  int size_ = 0;
};

}  // namespace vibnet
