#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

static float sum(const float* x, int count) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < count; ++i) total += x[i];
  return total;
}

static float dot(const float* x, float mean, const float* y, int count) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < count; ++i) total += (x[i] - mean) * y[i];
  return total;
}

static float squares(const float* x, float mean, int count) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < count; ++i) total += (x[i] - mean) * (x[i] - mean);
  return total;
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
