#pragma once

#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = tanh(x) (Caffe's TanH).
struct TanHFormula {
  explicit TanHFormula(const LayerParameter& /*parameter*/) {}
  VIBNET_HOST_DEVICE float value(float x) const { return std::tanh(x); }
  VIBNET_HOST_DEVICE float slope(float /*x*/, float y) const { return 1 - y * y; }
  bool slope_reads_x() const { return false; }
};

}  // namespace vibnet
