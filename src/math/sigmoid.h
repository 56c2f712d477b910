#pragma once

#include <cmath>

#include "vibnet/host_device.h"

namespace vibnet {

/// 1 / (1 + exp(-x)), without overflow.
VIBNET_HOST_DEVICE inline float sigmoid(float x) { return 0.5f * std::tanh(0.5f * x) + 0.5f; }

}  // namespace vibnet
