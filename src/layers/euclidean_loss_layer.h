#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Half the summed squared difference of two bottoms, divided by the batch (Caffe's EuclideanLoss).
class EuclideanLossLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// The samples of all ranks.
  float batch(const Blobs& bottom) const;
};

}  // namespace vibnet
