#pragma once

#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = |x| (Caffe's AbsVal).
struct AbsValFormula {
  explicit AbsValFormula(const LayerParameter& /*parameter*/) {}
  VIBNET_HOST_DEVICE float value(float x) const { return std::fabs(x); }
  VIBNET_HOST_DEVICE float slope(float x, float /*y*/) const {
    return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f;
  }
  bool slope_reads_x() const { return true; }
};

}  // namespace vibnet
