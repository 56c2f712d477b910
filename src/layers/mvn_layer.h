#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// y = (x - mean) / (deviation + eps), of each channel of each sample, or of each sample with
/// across_channels; without normalize_variance y = x - mean (Caffe's MVN). In place if asked.
///
/// Bottom: N x C x H x W, its last axes left out if 1; top: all four axes. The gradient takes eps
/// for nothing beside the deviation, as Caffe's does.
class MVNLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  const MVNParameter& parameter() const { return parameter_.mvn_param(); }

  /// Calls body(row, its first value, the one after its last).
  template <typename Body>
  void for_each_row(const Body& body) const;

  int rows_ = 0;
  int size_ = 0;
  std::vector<float> divisor_;
  Blob normalized_;
};

}  // namespace vibnet
