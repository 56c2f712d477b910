#pragma once

#include <cstddef>
#include <vector>

#include "simd/kernels.h"
#include "vibnet/random.h"

namespace vibnet {

/// Normal numbers, others for each name.
inline std::vector<float> drawn(std::size_t count, const char* name) {
  RandomSequence random(random_key(1, name));
  std::vector<float> values(count);
  for (float& value : values) value = random.normal();
  return values;
}

/// The values with room behind them, of which a kernel may read a vector.
inline std::vector<float> with_room(std::vector<float> values) {
  values.reserve(values.size() + kLanes);
  return values;
}

}  // namespace vibnet
