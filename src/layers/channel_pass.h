#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "layers/channelwise_layer.h"

namespace vibnet {

/// Channelwise layers, each on the top of the one before, run as one. What lies between them is
/// never stored; backward computes it again. Only the first may take looks or finish blocks, and
/// have further bottoms.
class ChannelPass {
 public:
  explicit ChannelPass(std::vector<ChannelwiseLayer*> layers) : layers_(std::move(layers)) {}
  ChannelPass(const ChannelPass&) = delete;
  ChannelPass& operator=(const ChannelPass&) = delete;
  virtual ~ChannelPass() = default;

  const std::vector<ChannelwiseLayer*>& layers() const { return layers_; }

  /// From the first layer's bottoms to the last one's top, which may be its first bottom.
  virtual void forward(const Blobs& bottom, const Blobs& top) = 0;
  /// Whether backward needs nothing but the top, which says what the pass has read.
  virtual bool inverts() const { return false; }
  /// x: what forward read, if any layer reads it. The top where the pass inverts.
  virtual void backward(const Blobs& top, const std::vector<bool>& propagate_down, const Blob& x,
                        const Blobs& bottom) = 0;

 protected:
  /// The blob as the pass sees it: as all layers do that do not take it as any other.
  ChannelLayout layout(const Blobs& bottom) const;

  std::vector<ChannelwiseLayer*> layers_;
};

/// On the CPU: block by block through all layers, while the block is in cache.
class ChannelPassCPU : public ChannelPass {
 public:
  using ChannelPass::ChannelPass;

  void forward(const Blobs& bottom, const Blobs& top) override;
  bool inverts() const override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down, const Blob& x,
                const Blobs& bottom) override;

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
};

/// Whether a device's pass of these layers may take another one behind them.
bool may_join(const Device& device, const std::vector<ChannelwiseLayer*>& pass,
              ChannelwiseLayer* next);

std::unique_ptr<ChannelPass> make_channel_pass(const Device& device,
                                               std::vector<ChannelwiseLayer*> layers);

using ChannelPassFactory = std::unique_ptr<ChannelPass> (*)(std::vector<ChannelwiseLayer*>);

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_channel_pass(ChannelPassFactory factory);

}  // namespace vibnet
