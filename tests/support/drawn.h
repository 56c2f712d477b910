#pragma once

#include <cstddef>
#include <vector>

#include "vibnet/random.h"

namespace vibnet {

/// Normal numbers, others for each name.
inline std::vector<float> drawn(std::size_t count, const char* name) {
  RandomSequence random(random_key(1, name));
  std::vector<float> values(count);
  for (float& value : values) value = random.normal();
  return values;
}

}  // namespace vibnet
