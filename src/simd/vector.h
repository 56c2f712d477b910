#pragma once

#include "simd/kernels.h"

/// What a kernel is made of. Only isa.cpp includes this: it is compiled once for each instruction
/// set, so nothing here may have a symbol of its own.

#define VIBNET_INLINE static inline __attribute__((always_inline))

namespace vibnet::VIBNET_ISA {

/// The floats of a register.
#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
static_assert(kLanes % kWidth == 0);

using Vector = float __attribute__((vector_size(kWidth * sizeof(float))));

VIBNET_INLINE Vector load(const float* p) {
  Vector v;
  __builtin_memcpy(&v, p, sizeof(v));  // aligned as floats are, no more
  return v;
}
VIBNET_INLINE void store(Vector v, float* p) { __builtin_memcpy(p, &v, sizeof(v)); }
VIBNET_INLINE Vector broadcast(float x) { return x - Vector{}; }
/// By halves, as one would wait for each of kWidth additions in turn.
VIBNET_INLINE float sum_of(Vector v) {
  float lanes[kWidth];
  store(v, lanes);
#pragma GCC unroll 4
  for (int half = kWidth / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}
/// What is not a number stays so.
VIBNET_INLINE Vector rectified(Vector x) { return x < 0 ? Vector{} : x; }

}  // namespace vibnet::VIBNET_ISA
