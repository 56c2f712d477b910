#pragma once

#include <algorithm>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = x held between 0 and 6 (the ReLU6 of Caffe's MobileNet forks).
struct ReLU6Formula {
  explicit ReLU6Formula(const LayerParameter& /*parameter*/) {}
  VIBNET_HOST_DEVICE float value(float x) const { return std::min(std::max(x, 0.0f), 6.0f); }
  VIBNET_HOST_DEVICE float slope(float /*x*/, float y) const {
    return y > 0 && y < 6 ? 1.0f : 0.0f;
  }
  bool slope_reads_x() const { return false; }
};

}  // namespace vibnet
