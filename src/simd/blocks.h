#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// The sum of term(i) over i < count; vector_term(i) are those of kWidth from i on. Four sums at a
/// time, as one would wait for each addition.
template <typename VectorTerm, typename Term>
VIBNET_INLINE float sum_of(int count, const VectorTerm& vector_term, const Term& term) {
  Vector sums[4] = {};
  int i = 0;
  for (; i + 4 * kWidth <= count; i += 4 * kWidth) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sums[v] += vector_term(i + v * kWidth);
  }
  for (; i + kWidth <= count; i += kWidth) sums[0] += vector_term(i);
  float total = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < count; ++i) total += term(i);
  return total;
}

static float sum(const float* x, int count) {
  return sum_of(
      count, [=](int i) __attribute__((always_inline)) { return load(x + i); },
      [=](int i) __attribute__((always_inline)) { return x[i]; });
}

static float dot(const float* x, float mean, const float* y, int count) {
  return sum_of(
      count,
      [=](int i) __attribute__((always_inline)) { return (load(x + i) - mean) * load(y + i); },
      [=](int i) __attribute__((always_inline)) { return (x[i] - mean) * y[i]; });
}

static float squares(const float* x, float mean, int count) {
  return sum_of(
      count,
      [=](int i) __attribute__((always_inline)) {
        const Vector apart = load(x + i) - mean;
        return apart * apart;
      },
      [=](int i) __attribute__((always_inline)) { return (x[i] - mean) * (x[i] - mean); });
}

static void multiply_add(const float* x, float mean, float factor, float shift, float* y,
                         int count) {
#pragma omp simd
  for (int i = 0; i < count; ++i) y[i] = (x[i] - mean) * factor + shift;
}

static void subtract(const float* x, float mean, float factor, float shift, float* y, int count) {
#pragma omp simd
  for (int i = 0; i < count; ++i) y[i] -= (x[i] - mean) * factor + shift;
}

static void scale_by_sign(const float* x, float slope, const float* from, float* to, int count) {
#pragma omp simd
  for (int i = 0; i < count; ++i) to[i] = from[i] * (x[i] > 0 ? 1 : slope);
}

}  // namespace vibnet::VIBNET_ISA
