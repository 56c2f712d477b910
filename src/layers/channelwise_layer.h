#pragma once

#include <cstdint>
#include <vector>

#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// A blob as samples x channels x values.
struct ChannelLayout {
  int samples = 0;
  int channels = 0;
  int values = 0;

  /// The channel of the blob's i-th value.
  VIBNET_HOST_DEVICE int channel_of(int i) const { return i / values % channels; }
  VIBNET_HOST_DEVICE int values_of_channel() const { return samples * values; }
  /// Where the i-th of a channel's values stands in the blob.
  VIBNET_HOST_DEVICE int index_of(int channel, int i) const {
    return (i / values * channels + channel) * values + i % values;
  }
};

/// Values of one channel, one sample's behind the other's. Of one sample they may be a part. Where
/// all layers of a pass are elementwise, the blob is one channel of one sample.
struct ChannelBlock {
  int channel;
  int first_sample;
  int samples;
  int values;       // of each sample
  int first_value;  // of one sample
  int part;         // which of the parts that the samples come in

  int count() const { return samples * values; }
};

class GpuMember;

/// A layer that makes each channel of its top of that channel of its first bottom alone, by what it
/// has found in the channel and its own parameters for it.
///
/// Such a layer is written as what it does to a block, which ChannelPassCPU keeps in cache, so that
/// several on top of one another read and write memory once. The samples come in parts: a channel's
/// blocks of one part in one order and on one thread, but for layers that are all elementwise.
class ChannelwiseLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }
  bool reads_tops(const Blobs& bottom, const Blobs& top) const override {
    return needs_y() || (bottom[0] == top[0] && !needs_x());
  }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  /// A pass of this layer alone.
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

  /// The bottom's, after reshape: N x C x the other axes unless the layer sees it another way.
  const ChannelLayout& layout() const { return layout_; }
  /// Whether all values are treated alike, so that any layout will do.
  virtual bool is_uniform() const { return false; }
  /// Whether each value is treated by itself, perhaps by where it stands in the blob: then the
  /// layer takes a blob as one channel too.
  virtual bool is_elementwise() const { return is_uniform(); }
  /// Whether another layer's pass may take this one along: it reads its first bottom alone.
  virtual bool can_follow() const { return true; }
  /// What the layer is in a pass on the GPU; null for one that joins none.
  virtual GpuMember* gpu_member() { return nullptr; }
  /// Whether backward_block must have x where the top has taken its place; else y stands for x.
  virtual bool needs_x() const { return true; }
  /// Whether backward_block gets y; else a null pointer.
  virtual bool needs_y() const { return false; }
  /// Whether the layer does a pass of its own, alone or behind a ReLU, by planes: the pass calls
  /// these two then, with the ReLU's slope below 0 or 1 for none, and behind the second this
  /// layer's end_backward; nothing else.
  virtual bool runs_by_planes() const { return false; }
  /// y may be x.
  virtual void forward_planes(float /*slope*/, const float* /*x*/, float* /*y*/) {}
  /// x is a null pointer where it is not kept, which inverts() allows; dx where nobody needs it.
  virtual void backward_planes(float /*slope*/, const float* /*x*/, const float* /*y*/,
                               const float* /*dy*/, float* /*dx*/) {}
  /// Whether backward_planes can do with y alone.
  virtual bool inverts() const { return false; }

  virtual void begin_forward(const Blobs& /*bottom*/) {}
  /// Whether the layer looks at a whole channel before forward_block gets any of it.
  virtual bool looks() const { return false; }
  virtual void begin_looks(int /*parts*/) {}
  virtual void look(const ChannelBlock& /*block*/, const float* /*x*/) {}
  virtual void end_looks() {}
  /// y may be x.
  virtual void forward_block(const ChannelBlock& block, const float* x, float* y) = 0;
  virtual void end_forward() {}

  virtual void begin_backward(int /*parts*/) {}
  /// Writes dx, which may be dy, and takes what it needs for the gradients of parameters.
  virtual void backward_block(const ChannelBlock& block, const float* x, const float* y,
                              const float* dy, float* dx) = 0;
  /// Whether finish_block shall change dx once backward_block has had all, and end_sums been
  /// called.
  virtual bool finishes_blocks() const { return false; }
  virtual void end_sums() {}
  virtual void finish_block(const ChannelBlock& /*block*/, const float* /*x*/, float* /*dx*/) {}
  /// Adds to the parameters' gradients, or writes those of further bottoms.
  virtual void end_backward(const std::vector<bool>& /*propagate_down*/, const Blobs& /*bottom*/) {}

 protected:
  void set_layout(const ChannelLayout& layout) { layout_ = layout; }
  /// Before forward: copies x, on the net's device, where forward will overwrite what backward
  /// needs.
  void keep_x(const Blobs& bottom, const Blobs& top);
  /// For backward: what forward read.
  const Blob& kept_x(const Blobs& bottom, const Blobs& top) const {
    return keeps_x(bottom, top) ? kept_x_ : *bottom[0];
  }

 private:
  bool keeps_x(const Blobs& bottom, const Blobs& top) const {
    return bottom[0] == top[0] && needs_x();
  }

  ChannelLayout layout_;
  /// x of an in-place forward, where backward needs it.
  Blob kept_x_;
};

}  // namespace vibnet
