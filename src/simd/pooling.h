#pragma once

#include "simd/strided.h"

namespace vibnet::VIBNET_ISA {

/// The windows from i on, W at a time. SIZE and STRIDE are 0 where they are known at run time only.
/// Returns the first that is left.
template <int W, int SIZE, int STRIDE>
VIBNET_INLINE int max_of_windows_by(const PoolingRow& row, int i) {
  const int stride = STRIDE > 0 ? STRIDE : row.stride;
  const int height = SIZE > 0 ? SIZE : row.kernel_h;
  const int width = SIZE > 0 ? SIZE : row.kernel_w;
  typename Vectors<W>::Indices steps;
#pragma GCC unroll 16
  for (int w = 0; w < W; ++w) steps[w] = w * stride;
  for (; i + W <= row.count; i += W) {
    const int corner = row.first + i * stride;
    Row<W> largest = load_strided<W, STRIDE>(row.plane + corner, stride);
    typename Vectors<W>::Indices place = corner + steps;
#pragma GCC unroll 2
    for (int y = 0; y < height; ++y)
#pragma GCC unroll 2
      for (int x = 0; x < width; ++x) {
        const int at = corner + y * row.width + x;
        const Row<W> values = load_strided<W, STRIDE>(row.plane + at, stride);
        const auto is_larger = values > largest;
        place = is_larger ? at + steps : place;
        largest = is_larger ? values : largest;
      }
    __builtin_memcpy(row.largest + i, &largest, sizeof(largest));
    __builtin_memcpy(row.index + i, &place, sizeof(place));
  }
  return i;
}

template <int SIZE, int STRIDE>
VIBNET_INLINE void max_of_row(const PoolingRow& row) {
  int i = 0;
  if constexpr (kWidth > 8) i = max_of_windows_by<16, SIZE, STRIDE>(row, i);
  if constexpr (kWidth > 4) i = max_of_windows_by<8, SIZE, STRIDE>(row, i);
  i = max_of_windows_by<4, SIZE, STRIDE>(row, i);
  max_of_windows_by<1, SIZE, STRIDE>(row, i);
}

static void max_of_windows(const PoolingRow& row) {
  if (row.stride == 2 && row.kernel_h == 2 && row.kernel_w == 2) return max_of_row<2, 2>(row);
  if (row.stride == 2) return max_of_row<0, 2>(row);
  if (row.stride == 1) return max_of_row<0, 1>(row);
  max_of_row<0, 0>(row);
}

/// The windows of a row from `column` on, W at a time. Returns the first that is left.
template <int W>
VIBNET_INLINE int spread_windows_by(const HalvedPlane& p, int row, int column) {
  typename Vectors<W>::Indices steps;
#pragma GCC unroll 16
  for (int w = 0; w < W; ++w) steps[w] = 2 * w;
  for (; column + W <= p.columns; column += W) {
    const int window = row * p.columns + column;
    Row<W> gradients;
    typename Vectors<W>::Indices chosen;
    __builtin_memcpy(&gradients, p.gradients + window, sizeof(gradients));
    __builtin_memcpy(&chosen, p.index + window, sizeof(chosen));
#pragma GCC unroll 2
    for (int y = 0; y < 2; ++y) {
      const int corner = 2 * ((2 * row + y) * p.columns + column);
      const Row<W> even = chosen == corner + steps ? gradients : Row<W>{};
      const Row<W> odd = chosen == corner + 1 + steps ? gradients : Row<W>{};
      put_in_turn<W>(even, odd, p.plane + corner);
    }
  }
  return column;
}

static void spread_windows(const HalvedPlane& plane) {
  for (int row = 0; row < plane.rows; ++row) {
    int i = 0;
    if constexpr (kWidth > 8) i = spread_windows_by<16>(plane, row, i);
    if constexpr (kWidth > 4) i = spread_windows_by<8>(plane, row, i);
    i = spread_windows_by<4>(plane, row, i);
    spread_windows_by<1>(plane, row, i);
  }
}

}  // namespace vibnet::VIBNET_ISA
