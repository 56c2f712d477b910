#pragma once

#include <cstdint>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Takes samples of the first bottom in the order that the second names them, any number of times
/// each (Caffe's BatchReindex).
///
/// Bottoms: N x ..., and M indices, which have no gradient; top: M x ....
class BatchReindexLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  bool has_gradient(int bottom) const override { return bottom == 0; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  [[noreturn]] void fail_index(float index, int samples) const;
  void read_indices(const Blob& samples, const Blob& indices);

  std::vector<std::int64_t> indices_;
};

}  // namespace vibnet
