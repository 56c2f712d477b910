#pragma once

#include <algorithm>
#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = log(1 + exp(x)), a smooth ReLU (Caffe's BNLL).
struct BNLLFormula {
  explicit BNLLFormula(const LayerParameter& /*parameter*/) {}
  VIBNET_HOST_DEVICE float value(float x) const {
    return std::max(x, 0.0f) + std::log1p(std::exp(-std::fabs(x)));
  }
  VIBNET_HOST_DEVICE float slope(float /*x*/, float y) const { return -std::expm1(-y); }
  bool slope_reads_x() const { return false; }
};

}  // namespace vibnet
