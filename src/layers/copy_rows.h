#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "math/parallel.h"

namespace vibnet {

/// Copies rows of `size` floats, that are so many floats apart here and there.
inline void copy_rows(int rows, int size, const float* from, std::ptrdiff_t from_row, float* to,
                      std::ptrdiff_t to_row) {
  parallel_for(rows, grain_of(size), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      if (size == 1)
        to[row * to_row] = from[row * from_row];
      else
        std::copy_n(from + row * from_row, size, to + row * to_row);
  });
}

}  // namespace vibnet
