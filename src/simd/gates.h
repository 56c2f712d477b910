#pragma once

#include "simd/blocks.h"

namespace vibnet::VIBNET_ISA {

static void gate(const GatedPlanes& gated, const float* x, float* y) {
  const float* factors = gated.factors;
  const float slope = gated.slope;
  if (gated.values == 1) {
#pragma omp simd
    for (int p = 0; p < gated.planes; ++p) y[p] = x[p] * (x[p] > 0 ? 1 : slope) * factors[p];
    return;
  }
  for (int p = 0; p < gated.planes; ++p) {
    const std::ptrdiff_t begin = std::ptrdiff_t{p} * gated.values;
    const float* from = x + begin;
    float* to = y + begin;
    const float factor = factors[p];
#pragma omp simd
    for (int i = 0; i < gated.values; ++i) to[i] = from[i] * (from[i] > 0 ? 1 : slope) * factor;
  }
}

/// 0 for a factor of which nothing can be restored.
VIBNET_INLINE float inverse_of(float factor) {
  return __builtin_fabsf(factor) < __FLT_MIN__ ? 0 : 1 / factor;
}

/// Planes of one value. `from_y`: `values` are y, else x.
VIBNET_INLINE void gate_gradient_of_values(const GatedPlanes& gated, const float* values,
                                           bool from_y, const float* dy, float* dx, float* sums) {
  const float* factors = gated.factors;
  const float slope = gated.slope;
#pragma omp simd
  for (int p = 0; p < gated.planes; ++p) {
    const float scale = from_y ? inverse_of(factors[p]) : values[p] > 0 ? 1 : slope;
    const float multiplied = values[p] * scale;
    sums[p] = multiplied * dy[p];
    dx[p] = dy[p] * (multiplied > 0 ? 1 : slope) * factors[p];
  }
}

static void gate_gradient(const GatedPlanes& gated, const float* x, const float* y, const float* dy,
                          float* dx, float* sums) {
  if (gated.values == 1)
    return x != nullptr ? gate_gradient_of_values(gated, x, false, dy, dx, sums)
                        : gate_gradient_of_values(gated, y, true, dy, dx, sums);
  for (int p = 0; p < gated.planes; ++p) {
    const std::ptrdiff_t begin = std::ptrdiff_t{p} * gated.values;
    const float* values = (x != nullptr ? x : y) + begin;
    const float* from = dy + begin;
    float* to = dx + begin;
    const float factor = gated.factors[p];
    const float low_factor = factor * gated.slope;
    // The signs of x, and what a value below 0 was multiplied by on its way to the factor.
    const float sign = x == nullptr && factor < 0 ? -1 : 1;
    const float low = x == nullptr ? 1 : gated.slope;
    const float sum = sum_of(
        gated.values,
        [=](int i) __attribute__((always_inline)) {
          const Vector value = load(values + i);
          const Vector d = load(from + i);
          const auto is_positive = value * sign > 0;
          store(d * (is_positive ? broadcast(factor) : broadcast(low_factor)), to + i);
          return value * (is_positive ? broadcast(1) : broadcast(low)) * d;
        },
        [=](int i) __attribute__((always_inline)) {
          const float value = values[i];
          const float d = from[i];
          const bool is_positive = value * sign > 0;
          to[i] = d * (is_positive ? factor : low_factor);
          return value * (is_positive ? 1 : low) * d;
        });
    sums[p] = sum * (x == nullptr ? inverse_of(factor) : 1);
  }
}

}  // namespace vibnet::VIBNET_ISA
