#pragma once

#include <cmath>

#include "layers/log_base.h"
#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = base ^ (scale x + shift); base -1, the default, is e (Caffe's Exp).
struct ExpFormula {
  explicit ExpFormula(const LayerParameter& parameter)
      : inner(log_base(parameter.exp_param().base()) * parameter.exp_param().scale()),
        outer(std::exp(log_base(parameter.exp_param().base()) * parameter.exp_param().shift())) {}
  VIBNET_HOST_DEVICE float value(float x) const { return outer * std::exp(inner * x); }
  VIBNET_HOST_DEVICE float slope(float /*x*/, float y) const { return inner * y; }
  bool slope_reads_x() const { return false; }

  float inner;
  float outer;
};

}  // namespace vibnet
