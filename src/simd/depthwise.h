#pragma once

#include "simd/strided.h"

namespace vibnet::VIBNET_ISA {

/// The values of a row that W windows side by side see: before, in and behind their middles.
template <int W>
struct Seen {
  Row<W> left, middle, right;
};

/// The values of a row, from the middle of the first window on. `is_first`: nothing is to the left
/// of it; `is_inside`: per window, whether there is something to the right of its middle.
template <int W, int STRIDE>
VIBNET_INLINE Seen<W> see(const float* row, bool is_first,
                          const typename Vectors<W>::Indices& is_inside) {
  Seen<W> seen;
  seen.middle = load_strided<W, STRIDE>(row, STRIDE);
  seen.right = is_inside ? load_strided<W, STRIDE>(row + 1, STRIDE) : Row<W>{};
  if (!is_first) {
    seen.left = load_strided<W, STRIDE>(row - 1, STRIDE);
    return seen;
  }
  const Row<W> before = STRIDE == 1 ? seen.middle : seen.right;
#if defined(__clang__)
  for (int i = 0; i < W; ++i) seen.left[i] = i == 0 ? 0 : before[i - 1];
#else
  typename Vectors<W>::Indices shifted;
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) shifted[i] = i == 0 ? W : i - 1;
  seen.left = __builtin_shuffle(before, Row<W>{}, shifted);
#endif
  return seen;
}

template <int W>
VIBNET_INLINE Row<W> add_taps(Row<W> sum, const float* weights, const Seen<W>& seen) {
  return sum + weights[0] * seen.left + weights[1] * seen.middle + weights[2] * seen.right;
}

/// W columns of windows from `column` on, of which `count` are there, row by row. What is written
/// behind them is the beginning of the next rows, and never behind the last.
template <int W, int STRIDE>
VIBNET_INLINE void put_columns(const DepthwisePlane& d, int column, int count) {
  const float bias = d.epilogue.bias_of(0);
  const float* from = d.from + column * STRIDE;
  const float* end = d.to + std::ptrdiff_t{d.end} * d.out_width;
  typename Vectors<W>::Indices is_inside;
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) is_inside[i] = (column + i) * STRIDE + 1 < d.width ? -1 : 0;
  const auto seen_of = [&](int row) __attribute__((always_inline)) {
    if (row < 0 || row >= d.height) return Seen<W>{};
    return see<W, STRIDE>(from + std::ptrdiff_t{row} * d.width, column == 0, is_inside);
  };
  Seen<W> above = seen_of(d.begin * STRIDE - 1);
  Seen<W> in = seen_of(d.begin * STRIDE);
  for (int y = d.begin; y < d.end; ++y) {
    if (STRIDE == 2 && y > d.begin) in = seen_of(y * STRIDE);
    const Seen<W> below = seen_of(y * STRIDE + 1);
    Row<W> sum = bias - Row<W>{};
    sum = add_taps<W>(sum, d.weights, above);
    sum = add_taps<W>(sum, d.weights + 3, in);
    sum = add_taps<W>(sum, d.weights + 6, below);
    const std::ptrdiff_t at = std::ptrdiff_t{y} * d.out_width + column;
    if (d.epilogue.residual != nullptr) sum += load_row<W>(d.epilogue.residual + at);
    if (d.epilogue.rectifies) sum = sum < 0 ? Row<W>{} : sum;
    float* to = d.to + at;
    if (to + W <= end)
      __builtin_memcpy(to, &sum, sizeof(sum));
    else
      for (int i = 0; i < count; ++i) to[i] = sum[i];
    above = STRIDE == 1 ? in : below;
    in = below;
  }
}

/// The last columns, fewer than kWidth.
template <int STRIDE>
VIBNET_INLINE void put_last_columns(const DepthwisePlane& d, int column, int count) {
  if constexpr (kWidth > 8)
    if (count > 8) return put_columns<16, STRIDE>(d, column, count);
  if constexpr (kWidth > 4)
    if (count > 4) return put_columns<8, STRIDE>(d, column, count);
  if (count > 0) put_columns<4, STRIDE>(d, column, count);
}

template <int STRIDE>
VIBNET_INLINE void put_plane(const DepthwisePlane& d) {
  const int whole = d.out_width / kWidth * kWidth;
  put_last_columns<STRIDE>(d, whole, d.out_width - whole);  // first, as they write too much
  for (int column = 0; column < whole; column += kWidth)
    put_columns<kWidth, STRIDE>(d, column, kWidth);
}

static void depthwise_plane(const DepthwisePlane& d) {
  d.stride == 1 ? put_plane<1>(d) : put_plane<2>(d);
}

}  // namespace vibnet::VIBNET_ISA
