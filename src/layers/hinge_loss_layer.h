#pragma once

#include <vector>

#include "layers/labelled_layer.h"

namespace vibnet {

/// One-against-all hinge loss (Caffe's HingeLoss): the sum over the classes of max(0, 1 - x) for
/// the label and max(0, 1 + x) for the others, with norm: L2 each squared, divided by the batch.
///
/// Bottoms: scores, N x classes (the axes from 1 on together); N labels. Top: the loss, a scalar.
class HingeLossLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  bool is_squared() const { return parameter_.hinge_loss_param().norm() == HingeLossParameter::L2; }
  float sign(int i) const { return classes_of_rows_[i / classes_] == i % classes_ ? -1.0f : 1.0f; }
};

}  // namespace vibnet
