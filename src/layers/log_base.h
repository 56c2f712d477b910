#pragma once

#include <cmath>

#include "vibnet/error.h"

namespace vibnet {

/// The natural logarithm of exp_param's or log_param's `base`, where -1 stands for e. Throws Error
/// for a base that has none.
inline float log_base(float base) {
  if (base == -1) return 1;
  if (!(base > 0) || !std::isfinite(base)) fail("base must be positive, or -1 for e; it is ", base);
  return std::log(base);
}

}  // namespace vibnet
