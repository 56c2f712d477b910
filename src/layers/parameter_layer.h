#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// A learned blob of the given shape as a top (Caffe's Parameter). It starts as zeros; weights are
/// read into it.
class ParameterLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }
  bool shares_data() const override { return true; }
  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override;
  void reshape(const Blobs& /*bottom*/, const Blobs& top) override;
  void forward(const Blobs& /*bottom*/, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override;
};

}  // namespace vibnet
