#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Reads blobs that would else be outputs, and gives them no gradient (Caffe's Silence).
class SilenceLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {1, BlobCount::kAny}; }
  BlobCount top_count() const override { return {0, 0}; }
  void reshape(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
  void forward(const Blobs& /*bottom*/, const Blobs& /*top*/) override;
  void backward(const Blobs& /*top*/, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
};

}  // namespace vibnet
