#pragma once

#include <algorithm>

#include "vibnet.pb.h"
#include "vibnet/error.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = x held between `min` and `max`, whose gradient passes at both bounds (Caffe's Clip).
struct ClipFormula {
  explicit ClipFormula(const LayerParameter& parameter)
      : min(parameter.clip_param().min()), max(parameter.clip_param().max()) {
    if (!parameter.has_clip_param()) fail("clip_param { min: ... max: ... } is missing");
  }
  VIBNET_HOST_DEVICE float value(float x) const { return std::max(min, std::min(x, max)); }
  VIBNET_HOST_DEVICE float slope(float x, float /*y*/) const {
    return x >= min && x <= max ? 1.0f : 0.0f;
  }
  bool slope_reads_x() const { return true; }

  float min;
  float max;
};

}  // namespace vibnet
