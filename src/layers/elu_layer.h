#pragma once

#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = x for x > 0, else alpha (exp(x) - 1) (Caffe's ELU).
struct ELUFormula {
  explicit ELUFormula(const LayerParameter& parameter) : alpha(parameter.elu_param().alpha()) {}
  VIBNET_HOST_DEVICE float value(float x) const { return x > 0 ? x : alpha * std::expm1(x); }
  VIBNET_HOST_DEVICE float slope(float x, float y) const { return x > 0 ? 1 : y + alpha; }
  /// With alpha >= 0, y > 0 tells as well as x > 0.
  bool slope_reads_x() const { return !(alpha >= 0); }

  float alpha;
};

}  // namespace vibnet
