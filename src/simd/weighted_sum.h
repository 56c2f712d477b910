#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

template <int VECTORS>
VIBNET_INLINE void weighted_sum_of(const float* from, const std::ptrdiff_t* offsets,
                                   const float* weights, int terms, float bias, float* to) {
  Vector sums[VECTORS];
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v) sums[v] = broadcast(bias);
  for (int t = 0; t < terms; ++t) {
    const Vector weight = broadcast(weights[t]);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sums[v] += weight * load(from + offsets[t] + v * kWidth);
  }
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v) store(sums[v], to + v * kWidth);
}

static void weighted_sum(const float* from, const std::ptrdiff_t* offsets, const float* weights,
                         int terms, float bias, float* to, int count) {
  constexpr int kAtOnce = 4;
  int i = 0;
  for (; i + kAtOnce * kWidth <= count; i += kAtOnce * kWidth)
    weighted_sum_of<kAtOnce>(from + i, offsets, weights, terms, bias, to + i);
  for (; i < count; i += kWidth)
    weighted_sum_of<1>(from + i, offsets, weights, terms, bias, to + i);
}

}  // namespace vibnet::VIBNET_ISA
