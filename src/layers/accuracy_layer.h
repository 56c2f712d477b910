#pragma once

#include "layers/labelled_layer.h"

namespace vibnet {

/// The share of rows whose label is among the top_k largest scores (Caffe's Accuracy; a tie counts
/// against the label).
///
/// Bottoms: scores, outer x classes x inner around `axis`; labels, outer x inner. Tops: the share,
/// a scalar; per class, if named. Rows with the ignore_label do not count.
class AccuracyLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  BlobCount top_count() const override { return {1, 2}; }
  bool has_gradient(int /*bottom*/) const override { return false; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;

 protected:
  static float share(double part, double whole);
  bool is_right(const float* scores, int row, int label) const;

  int top_k_ = 1;
};

}  // namespace vibnet
