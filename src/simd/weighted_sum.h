#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// A 3 x 3 window's: then the weights stay in registers.
constexpr int kUsualTerms = 9;
/// Vectors of a row that are summed at once.
constexpr int kSumsAtOnce = 4;

/// The vectors from `i` on. `end`: behind the last value that may be written.
template <int VECTORS, int TERMS>
VIBNET_INLINE void put_weighted_sums(const WeightedSums& w, const Vector* weights,
                                     const float* from, float* to, const float* end) {
  Vector sums[VECTORS];
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v) sums[v] = broadcast(w.epilogue.bias_of(0));
  const auto add = [&](int t, Vector weight) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sums[v] += weight * load(from + w.offsets[t] + v * kWidth);
  };
  if constexpr (TERMS > 0) {
#pragma GCC unroll 16
    for (int t = 0; t < TERMS; ++t) add(t, weights[t]);
  } else {
    for (int t = 0; t < w.terms; ++t) add(t, broadcast(w.weights[t]));
  }
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v, to += kWidth) {
    const Vector sum = w.epilogue.rectifies ? rectified(sums[v]) : sums[v];
    if (to + kWidth <= end)
      store(sum, to);
    else
      for (int i = 0; i < kWidth; ++i)
        if (to + i < end) to[i] = sum[i];
  }
}

/// The last vectors of a row, fewer than kSumsAtOnce.
template <int VECTORS, int TERMS>
VIBNET_INLINE void put_last_sums(const WeightedSums& w, const Vector* weights, int vectors,
                                 const float* from, float* to, const float* end) {
  if constexpr (VECTORS > 0) {
    if (vectors == VECTORS)
      put_weighted_sums<VECTORS, TERMS>(w, weights, from, to, end);
    else
      put_last_sums<VECTORS - 1, TERMS>(w, weights, vectors, from, to, end);
  }
}

template <int TERMS>
VIBNET_INLINE void put_rows(const WeightedSums& w) {
  Vector weights[TERMS + 1];
  for (int t = 0; t < TERMS; ++t) weights[t] = broadcast(w.weights[t]);
  const float* end = w.to + (w.rows - 1) * w.to_row + w.count;
  const int vectors = (w.count + kWidth - 1) / kWidth;
  for (int row = 0; row < w.rows; ++row) {
    const float* from = w.from + row * w.from_row;
    float* to = w.to + row * w.to_row;
    int v = 0;
    for (; v + kSumsAtOnce <= vectors; v += kSumsAtOnce)
      put_weighted_sums<kSumsAtOnce, TERMS>(w, weights, from + v * kWidth, to + v * kWidth, end);
    put_last_sums<kSumsAtOnce - 1, TERMS>(w, weights, vectors - v, from + v * kWidth,
                                          to + v * kWidth, end);
  }
}

static void weighted_sums(const WeightedSums& w) {
  w.terms == kUsualTerms ? put_rows<kUsualTerms>(w) : put_rows<0>(w);
}

}  // namespace vibnet::VIBNET_ISA
