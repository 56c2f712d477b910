#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// What ContrastiveLoss makes of a pair at a distance, given as its square.
struct ContrastiveRule {
  double margin;
  bool is_legacy;

  VIBNET_HOST_DEVICE double loss(bool are_similar, double squared) const {
    if (are_similar) return squared;
    const double lacking = std::max(0.0, margin - (is_legacy ? squared : std::sqrt(squared)));
    return is_legacy ? lacking : lacking * lacking;
  }
  /// The loss by a, over a - b.
  VIBNET_HOST_DEVICE float pull(bool are_similar, double squared) const {
    constexpr double kNoDivisionByZero = 1e-4;  // Caffe's
    if (are_similar) return 1;
    if (is_legacy) return squared < margin ? -1.0f : 0.0f;
    const double distance = std::sqrt(squared);
    return static_cast<float>(std::min(0.0, distance - margin) / (distance + kNoDivisionByZero));
  }
};

/// The loss of pairs of vectors at distance d that shall be near when similar, else at least
/// `margin` apart (Caffe's ContrastiveLoss; Hadsell, Chopra, LeCun 2006).
///
/// A similar pair has the loss d^2, another max(margin - d, 0)^2, or with legacy_version
/// max(margin - d^2, 0); their sum is divided by twice the pairs. Bottoms: a and b, N x C; N flags,
/// not 0 for similar. Top: the loss, a scalar.
class ContrastiveLossLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {3, 3}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  bool has_gradient(int bottom) const override { return bottom < 2; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  ContrastiveRule rule() const {
    const ContrastiveLossParameter& parameter = parameter_.contrastive_loss_param();
    return {parameter.margin(), parameter.legacy_version()};
  }
  /// The pairs of all ranks.
  int batch() const { return std::max(1, pairs_ * context_.ranks->size()); }
  static bool are_similar(const Blobs& bottom, int pair);
  double squared_distance(const Blobs& bottom, int pair) const;

  int pairs_ = 0;
  int size_ = 0;
};

}  // namespace vibnet
