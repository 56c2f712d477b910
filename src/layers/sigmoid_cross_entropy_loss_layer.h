#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "layers/loss.h"
#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// -log of the probability that sigmoid(x) gives to a target of 1, and 1 - sigmoid(x) to one of 0.
VIBNET_HOST_DEVICE inline float sigmoid_cross_entropy(float x, float target) {
  return std::max(x, 0.0f) - x * target + std::log1p(std::exp(-std::fabs(x)));
}

/// Cross-entropy of sigmoid(x) against targets from 0 to 1, each value alone (Caffe's
/// SigmoidCrossEntropyLoss).
///
/// Bottoms: x; the targets, as many and in as many samples. Top: the loss, a scalar. The sum is
/// divided by the batch, unless `normalization` says else; targets whose whole part is the
/// ignore_label do not count.
class SigmoidCrossEntropyLossLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  bool has_gradient(int bottom) const override { return bottom == 0; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  LossNormalizer normalizer(const Blobs& bottom) const {
    return loss_normalizer(parameter_.loss_param(), LossParameter::BATCH_SIZE, bottom[0]->count(),
                           bottom[0]->shape(0));
  }

  /// What the last forward divided the loss by.
  float divisor_ = 1;
};

}  // namespace vibnet
