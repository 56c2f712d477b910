#pragma once

#include <cmath>
#include <vector>

#include "vibnet/channel_rule.h"
#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// What a value adds to a reduction, and the slope of that.
VIBNET_HOST_DEVICE inline float reduced(ReductionParameter::ReductionOp operation, float x) {
  return operation == ReductionParameter::ASUM    ? std::fabs(x)
         : operation == ReductionParameter::SUMSQ ? x * x
                                                  : x;
}
VIBNET_HOST_DEVICE inline float slope_of_reduced(ReductionParameter::ReductionOp operation,
                                                 float x) {
  return operation == ReductionParameter::ASUM    ? (x > 0   ? 1.0f
                                                     : x < 0 ? -1.0f
                                                             : 0.0f)
         : operation == ReductionParameter::SUMSQ ? 2 * x
                                                  : 1.0f;
}

/// coeff times the SUM, the sum of magnitudes (ASUM) or of squares (SUMSQ), or the MEAN of all
/// values behind the axes before `axis`, which are the top's (Caffe's Reduction).
class ReductionLayer : public Layer {
 public:
  using Layer::Layer;

  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  const ReductionParameter& parameter() const { return parameter_.reduction_param(); }
  double reduce(const float* x) const;

  int rows_ = 0;
  int size_ = 0;
  float coefficient_ = 1;
  /// Whether the top is one value for the whole batch, of all ranks.
  bool sums_batch_ = false;
};

}  // namespace vibnet
