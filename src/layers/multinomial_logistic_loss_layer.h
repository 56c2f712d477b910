#pragma once

#include <vector>

#include "layers/labelled_layer.h"

namespace vibnet {

/// Mean -log of the probability that the bottom gives to the label (Caffe's
/// MultinomialLogisticLoss).
///
/// Bottoms: probabilities, N x classes (the axes from 1 on together); N labels. Top: the loss, a
/// scalar.
class MultinomialLogisticLossLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  float probability(const Blobs& bottom, int row) const;
};

}  // namespace vibnet
