#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

template <int ROWS>
VIBNET_INLINE void dots_of(const float* x, const float* rows, std::ptrdiff_t row, int depth,
                           float* sums) {
  Vector partial[ROWS] = {};
  int i = 0;
  for (; i + kWidth <= depth; i += kWidth) {
    const Vector values = load(x + i);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) partial[r] += values * load(rows + r * row + i);
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) sums[r] = sum_of(partial[r]);
  for (; i < depth; ++i)
    for (int r = 0; r < ROWS; ++r) sums[r] += x[i] * rows[r * row + i];
}

static void dots(const float* x, const float* rows, std::ptrdiff_t row, int count, int depth,
                 float* sums) {
  constexpr int kAtOnce = 8;
  int r = 0;
  for (; r + kAtOnce <= count; r += kAtOnce)
    dots_of<kAtOnce>(x, rows + r * row, row, depth, sums + r);
  for (; r < count; ++r) dots_of<1>(x, rows + r * row, row, depth, sums + r);
}

}  // namespace vibnet::VIBNET_ISA
