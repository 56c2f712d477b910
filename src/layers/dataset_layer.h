#pragma once

#include <cstdint>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// A layer that makes its tops of a data set, and which batch of it is a function of
/// Context::batch() alone. So nothing need be saved to read on after a resume.
class DatasetLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }
  void reshape(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
  void backward(const Blobs& /*top*/, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {}

  /// Samples in the data set.
  virtual std::int64_t size() const = 0;
  virtual int batch_size() const = 0;
};

}  // namespace vibnet
