#pragma once

#include "math/sigmoid.h"
#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// y = 1 / (1 + exp(-x)) (Caffe's Sigmoid).
struct SigmoidFormula {
  explicit SigmoidFormula(const LayerParameter& /*parameter*/) {}
  VIBNET_HOST_DEVICE float value(float x) const { return sigmoid(x); }
  VIBNET_HOST_DEVICE float slope(float /*x*/, float y) const { return y * (1 - y); }
  bool slope_reads_x() const { return false; }
};

}  // namespace vibnet
