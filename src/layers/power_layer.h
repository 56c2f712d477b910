#pragma once

#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = (scale x + shift) ^ power (Caffe's Power).
struct PowerFormula {
  explicit PowerFormula(const LayerParameter& parameter)
      : power(parameter.power_param().power()),
        scale(parameter.power_param().scale()),
        shift(parameter.power_param().shift()) {}
  VIBNET_HOST_DEVICE float value(float x) const {
    return power == 1 ? inner(x) : std::pow(inner(x), power);
  }
  VIBNET_HOST_DEVICE float slope(float x, float /*y*/) const {
    if (power == 1 || power * scale == 0) return power * scale;
    return power * scale * std::pow(inner(x), power - 1);
  }
  bool slope_reads_x() const { return power != 1; }

  VIBNET_HOST_DEVICE float inner(float x) const { return scale == 0 ? shift : scale * x + shift; }

  float power;
  float scale;
  float shift;
};

}  // namespace vibnet
