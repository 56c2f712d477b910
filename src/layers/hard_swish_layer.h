#pragma once

#include <algorithm>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = x relu6(x + 3) / 6 (MobileNet v3's activation, HardSwish in Caffe's forks).
struct HardSwishFormula {
  explicit HardSwishFormula(const LayerParameter& /*parameter*/) {}
  VIBNET_HOST_DEVICE float value(float x) const {
    return x * std::min(std::max(x + 3, 0.0f), 6.0f) / 6;
  }
  VIBNET_HOST_DEVICE float slope(float x, float /*y*/) const {
    if (x <= -3) return 0;
    return x >= 3 ? 1 : (2 * x + 3) / 6;
  }
  bool slope_reads_x() const { return true; }
};

}  // namespace vibnet
