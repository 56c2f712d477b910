#pragma once

#include "vibnet/layer.h"

namespace vibnet {

/// Mean cross-entropy of softmax(x) against labels (Caffe's SoftmaxWithLoss).
///
/// Bottoms: x, outer x classes x inner around `axis`; labels, outer x inner, whole numbers from 0.
/// Tops: the loss, a scalar; the probabilities, if named. `ignore_label` and `normalization` are
/// Caffe's. Throws Error for a label that is no class.
class SoftmaxWithLossLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  BlobCount top_count() const override { return {1, 2}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int top) const override { return top == 0 ? 1 : 0; }
  bool has_gradient(int bottom) const override { return bottom == 0; }

  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  bool is_ignored(float label) const {
    return parameter_.loss_param().has_ignore_label() &&
           label == static_cast<float>(parameter_.loss_param().ignore_label());
  }
  [[noreturn]] void fail_label(float label, int row) const;
  /// What the summed loss is divided by, given how many labels were not ignored.
  float normalizer(int valid) const;

  int outer_ = 0;
  int classes_ = 0;
  int inner_ = 0;
  int valid_ = 0;
  Blob probabilities_;
};

}  // namespace vibnet
