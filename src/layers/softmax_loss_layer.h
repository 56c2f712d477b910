#pragma once

#include "layers/labelled_layer.h"

namespace vibnet {

/// Mean cross-entropy of softmax(x) against labels (Caffe's SoftmaxWithLoss).
///
/// Bottoms: x, outer x classes x inner around `axis`; labels, outer x inner, whole numbers from 0.
/// Tops: the loss, a scalar; the probabilities, if named. `ignore_label` and `normalization` are
/// Caffe's. Throws Error for a label that is no class.
class SoftmaxWithLossLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  BlobCount top_count() const override { return {1, 2}; }
  bool reads_tops(const Blobs& /*bottom*/, const Blobs& top) const override {
    return top.size() > 1;  // the probabilities
  }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int top) const override { return top == 0 ? 1 : 0; }

  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  LossNormalizer normalizer() const {
    return loss_normalizer(parameter_.loss_param(), LossParameter::VALID,
                           rows() * context_.ranks->size(), outer_ * context_.ranks->size());
  }

  Blob probabilities_;
  /// What the last forward divided the loss by.
  float divisor_ = 1;
};

}  // namespace vibnet
