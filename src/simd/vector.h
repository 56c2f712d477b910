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
using UnalignedVector =
    float __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));

VIBNET_INLINE Vector load(const float* p) { return *reinterpret_cast<const UnalignedVector*>(p); }
VIBNET_INLINE void store(Vector v, float* p) { *reinterpret_cast<UnalignedVector*>(p) = v; }
VIBNET_INLINE Vector broadcast(float x) { return x - Vector{}; }

}  // namespace vibnet::VIBNET_ISA
