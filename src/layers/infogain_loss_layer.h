#pragma once

#include <vector>

#include "layers/labelled_layer.h"

namespace vibnet {

/// Cross-entropy of softmax(x) in which each class has a row of weights for all classes (Caffe's
/// InfogainLoss): the loss of a row is -sum over c of H[label][c] log p[c].
///
/// Bottoms: x, outer x classes x inner around `axis`; labels, outer x inner; H, classes x classes,
/// or without it the file `source`, a binaryproto. Tops: the loss, a scalar; the probabilities, if
/// named. `ignore_label` and `normalization` are as for SoftmaxWithLoss; the older `normalize` is
/// refused.
class InfogainLossLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  BlobCount bottom_count() const override { return {2, 3}; }
  BlobCount top_count() const override { return {1, 2}; }
  bool reads_tops(const Blobs& /*bottom*/, const Blobs& top) const override {
    return top.size() > 1;  // the probabilities
  }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int top) const override { return top == 0 ? 1 : 0; }
  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  const Blob& weights(const Blobs& bottom) const;
  const float* weights_of(const Blobs& bottom, int label) const;
  LossNormalizer normalizer() const {
    return loss_normalizer(parameter_.loss_param(), LossParameter::VALID,
                           rows() * context_.ranks->size(), outer_ * context_.ranks->size());
  }

  Blob own_weights_;
  Blob probabilities_;
  /// What the last forward divided the loss by.
  float divisor_ = 1;
};

}  // namespace vibnet
