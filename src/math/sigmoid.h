#pragma once

#include <cmath>

namespace vibnet {

/// 1 / (1 + exp(-x)), without overflow.
inline float sigmoid(float x) { return 0.5f * std::tanh(0.5f * x) + 0.5f; }

}  // namespace vibnet
