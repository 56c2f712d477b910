#pragma once

#include <algorithm>
#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/communicator.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// The labels that a LossParameter or AccuracyParameter says to ignore. A label's fraction does not
/// count, as in Caffe.
class Ignored {
 public:
  template <typename Parameter>
  explicit Ignored(const Parameter& parameter)
      : ignores_(parameter.has_ignore_label()),
        label_(static_cast<float>(parameter.ignore_label())) {}

  VIBNET_HOST_DEVICE bool has(float label) const { return ignores_ && std::trunc(label) == label_; }

 private:
  bool ignores_;
  float label_;
};

/// A probability, kept so far off 0 that its logarithm and inverse are finite (Caffe's bound).
VIBNET_HOST_DEVICE inline float off_zero(float probability) {
  return std::max(probability, 1e-20f);
}

/// What a summed loss is divided by, never less than 1.
struct LossNormalizer {
  bool by_valid;
  int fixed;

  /// `valid`: how many values are not ignored.
  VIBNET_HOST_DEVICE float of(int valid) const {
    return static_cast<float>(std::max(1, by_valid ? valid : fixed));
  }
};

/// A loss's sums over the values that are not ignored.
struct LossSums {
  double loss;
  double valid;

  /// With those of the other ranks.
  LossSums over(Communicator* ranks) const;
};

/// For a loss over `full` values of `batch` samples; `mode` is for a parameter that says nothing.
LossNormalizer loss_normalizer(const LossParameter& parameter,
                               LossParameter::NormalizationMode mode, int full, int batch);

}  // namespace vibnet
