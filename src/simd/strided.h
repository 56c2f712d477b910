#pragma once

#include "simd/transpose.h"

namespace vibnet::VIBNET_ISA {

/// x[i * stride] for i < W; STRIDE is 0 for one that is known at run time only. Reads up to x[2 W -
/// 1] at a stride of 2.
template <int W, int STRIDE>
VIBNET_INLINE Row<W> load_strided(const float* x, int stride) {
  Row<W> row;
  if constexpr (STRIDE == 1) {
    __builtin_memcpy(&row, x, sizeof(row));
#if !defined(__clang__)  // which sees the shuffle in the loop
  } else if constexpr (STRIDE == 2 && W > 1) {
    Row<W> second;
    __builtin_memcpy(&row, x, sizeof(row));
    __builtin_memcpy(&second, x + W, sizeof(second));
    typename Vectors<W>::Indices even;
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) even[i] = 2 * i;
    row = __builtin_shuffle(row, second, even);
#endif
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) row[i] = x[i * (STRIDE > 0 ? STRIDE : stride)];
  }
  return row;
}

/// The way back at a stride of 2: low and high are the values with a zero behind each.
VIBNET_INLINE void put_zeros_between(Vector values, Vector* low, Vector* high) {
#if defined(__clang__)
#pragma clang loop unroll(full)
  for (int i = 0; i < kWidth; ++i) {
    (*low)[i] = i % 2 == 0 ? values[i / 2] : 0;
    (*high)[i] = i % 2 == 0 ? values[(kWidth + i) / 2] : 0;
  }
#else
  Vectors<kWidth>::Indices to_low;
  Vectors<kWidth>::Indices to_high;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    to_low[i] = i % 2 == 0 ? i / 2 : kWidth;
    to_high[i] = i % 2 == 0 ? (kWidth + i) / 2 : kWidth;
  }
  *low = __builtin_shuffle(values, Vector{}, to_low);
  *high = __builtin_shuffle(values, Vector{}, to_high);
#endif
}

/// to[2 i] = even[i], and to[2 i + 1] = odd[i].
template <int W>
VIBNET_INLINE void put_in_turn(Row<W> even, Row<W> odd, float* to) {
#if !defined(__clang__)
  if constexpr (W > 1) {
    typename Vectors<W>::Indices low;
    typename Vectors<W>::Indices high;
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) {
      low[i] = i / 2 + i % 2 * W;
      high[i] = low[i] + W / 2;
    }
    const Row<W> first = __builtin_shuffle(even, odd, low);
    const Row<W> second = __builtin_shuffle(even, odd, high);
    __builtin_memcpy(to, &first, sizeof(first));
    __builtin_memcpy(to + W, &second, sizeof(second));
    return;
  }
#endif
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    to[2 * i] = even[i];
    to[2 * i + 1] = odd[i];
  }
}

}  // namespace vibnet::VIBNET_ISA
