#pragma once

#include "math/sigmoid.h"
#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = x sigmoid(beta x) (Caffe's Swish).
struct SwishFormula {
  explicit SwishFormula(const LayerParameter& parameter) : beta(parameter.swish_param().beta()) {}
  VIBNET_HOST_DEVICE float value(float x) const { return x * sigmoid(beta * x); }
  VIBNET_HOST_DEVICE float slope(float x, float /*y*/) const {
    const float gate = sigmoid(beta * x);
    return gate + beta * x * gate * (1 - gate);
  }
  bool slope_reads_x() const { return true; }

  float beta;
};

}  // namespace vibnet
