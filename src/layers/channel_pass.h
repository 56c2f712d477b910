#pragma once

#include <vector>

#include "layers/channelwise_layer.h"

namespace vibnet {

/// Channelwise layers, each on the top of the one before, run as one: block by block through all of
/// them while the block is in cache. What lies between them is never stored; backward computes it
/// again. Only the first may take looks or finish blocks, and have further bottoms.
class ChannelPass {
 public:
  explicit ChannelPass(std::vector<ChannelwiseLayer*> layers) : layers_(std::move(layers)) {}

  const std::vector<ChannelwiseLayer*>& layers() const { return layers_; }

  /// From the first layer's bottoms to the last one's top, which may be its first bottom.
  void forward(const Blobs& bottom, const Blobs& top);
  /// Whether backward needs nothing but the top, which says what the pass has read.
  bool inverts() const;
  /// x: what forward read, if any layer reads it. The top where the pass inverts.
  void backward(const Blobs& top, const std::vector<bool>& propagate_down, const Blob& x,
                const Blobs& bottom);

 private:
  struct Tile;
  class Tiling;

  template <typename Body>
  void for_each_tile(const Tiling& tiling, const Body& body) const;
  bool is_elementwise() const;
  bool runs_by_planes() const;
  float slope() const;
  Tiling tiling(const Blobs& bottom) const;
  void look_at(const Tile& tile, const float* x);
  void forward_tile(const Tile& tile, const float* x, float* y);
  void backward_tile(const Tile& tile, const float* x, const float* y, const float* dy, float* dx);
  void finish_tile(const Tile& tile, const float* x, float* dx);

  std::vector<ChannelwiseLayer*> layers_;
};

}  // namespace vibnet
