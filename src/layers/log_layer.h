#pragma once

#include <cmath>

#include "layers/log_base.h"
#include "vibnet.pb.h"
#include "vibnet/error.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = log(scale x + shift) to `base`; base -1, the default, is e (Caffe's Log).
struct LogFormula {
  explicit LogFormula(const LayerParameter& parameter)
      : scale(parameter.log_param().scale()),
        shift(parameter.log_param().shift()),
        log_of_base(log_base(parameter.log_param().base())) {
    if (log_of_base == 0) fail("base cannot be 1: there is no logarithm to it");
  }
  VIBNET_HOST_DEVICE float value(float x) const {
    return std::log(scale * x + shift) / log_of_base;
  }
  VIBNET_HOST_DEVICE float slope(float x, float /*y*/) const {
    return scale / log_of_base / (scale * x + shift);
  }
  bool slope_reads_x() const { return true; }

  float scale;
  float shift;
  float log_of_base;
};

}  // namespace vibnet
