#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "simd/strided.h"

namespace vibnet::VIBNET_ISA {

using Bits = std::uint32_t __attribute__((vector_size(kWidth * sizeof(std::uint32_t))));
using WideBits = std::uint64_t __attribute__((vector_size(kWidth * sizeof(std::uint32_t))));

// GCC 12 warns of its own header (its bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

/// The products of the lower halves. (Compilers take the slow product of all 64 bits for it.)
VIBNET_INLINE WideBits multiply_lower(WideBits a, WideBits b) {
#if defined(__AVX512F__)
  return (WideBits)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (WideBits)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (WideBits)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

/// Both halves of x times a factor.
VIBNET_INLINE void multiply_wide(Bits x, std::uint32_t factor, Bits* high, Bits* low) {
  const WideBits factors = factor - WideBits{};
  const WideBits even = multiply_lower((WideBits)x, factors);
  const WideBits odd = multiply_lower((WideBits)x >> 32, factors);
  *high = (Bits)(even >> 32 | (odd & 0xffffffff00000000));
  *low = (Bits)((even & 0xffffffff) | odd << 32);
}

/// Philox4x32-10 (Salmon et al., 2011), in place.
VIBNET_INLINE void philox(Bits (&counter)[4], std::uint32_t key0, std::uint32_t key1) {
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    Bits high0, low0, high1, low1;
    multiply_wide(counter[0], 0xD2511F53u, &high0, &low0);
    multiply_wide(counter[2], 0xCD9E8D57u, &high1, &low1);
    counter[0] = high1 ^ counter[1] ^ key0;
    counter[1] = low1;
    counter[2] = high0 ^ counter[3] ^ key1;
    counter[3] = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

/// In (0, 1), as vibnet::to_uniform.
VIBNET_INLINE float uniform_of(std::uint32_t bits) {
  return (static_cast<float>(static_cast<std::int32_t>(bits >> 9)) + 0.5f) * (1.0f / 8388608.0f);
}

/// log(x) of a normal x > 0, to 1e-7 (Cephes' logf).
VIBNET_INLINE float log_of(float x) {
  const std::int32_t bits = __builtin_bit_cast(std::int32_t, x);
  const float mantissa = __builtin_bit_cast(float, (bits & 0x7fffff) | 0x3f000000);
  const bool is_low = mantissa < 0.707106781186547524f;
  const float e = static_cast<float>((bits >> 23) - 126 - (is_low ? 1 : 0));
  const float f = (is_low ? mantissa + mantissa : mantissa) - 1;
  float y = 7.0376836292e-2f;
  y = y * f - 1.1514610310e-1f;
  y = y * f + 1.1676998740e-1f;
  y = y * f - 1.2420140846e-1f;
  y = y * f + 1.4249322787e-1f;
  y = y * f - 1.6668057665e-1f;
  y = y * f + 2.0000714765e-1f;
  y = y * f - 2.4999993993e-1f;
  y = y * f + 3.3333331174e-1f;
  y = y * f * f * f - 2.12194440e-4f * e - 0.5f * f * f;
  return f + y + 0.693359375f * e;
}

struct Circle {
  float cosine;
  float sine;
};

/// Of so many turns, 0 to 1, to 1e-7 (Cephes' sinf and cosf, after the quarter turns).
VIBNET_INLINE Circle circle_of(float turns) {
  const std::int32_t quarters = static_cast<std::int32_t>(4 * turns + 0.5f);
  const float x = (4 * turns - static_cast<float>(quarters)) * 1.57079632679489662f;
  const float z = x * x;
  const float sine =
      ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
  const float cosine =
      ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
      0.5f * z + 1;
  const bool is_odd = (quarters & 1) != 0;
  const float first = is_odd ? sine : cosine;
  const float second = is_odd ? cosine : sine;
  return {((quarters + 1) & 2) != 0 ? -first : first, (quarters & 2) != 0 ? -second : second};
}

/// Each pair of uniform numbers to a pair of normal ones (Box and Muller, 1958).
VIBNET_INLINE void to_normals(const std::uint32_t (&bits)[4][kWidth], float (&normal)[4][kWidth]) {
#pragma omp simd
  for (int i = 0; i < kWidth; ++i) {
    const float radius0 = __builtin_sqrtf(-2 * log_of(uniform_of(bits[0][i])));
    const float radius1 = __builtin_sqrtf(-2 * log_of(uniform_of(bits[1][i])));
    const Circle circle0 = circle_of(uniform_of(bits[2][i]));
    const Circle circle1 = circle_of(uniform_of(bits[3][i]));
    normal[0][i] = radius0 * circle0.cosine;
    normal[1][i] = radius0 * circle0.sine;
    normal[2][i] = radius1 * circle1.cosine;
    normal[3][i] = radius1 * circle1.sine;
  }
}

/// to[4 * i + j] = rows[j][i].
VIBNET_INLINE void put_by_fours(const float (&rows)[4][kWidth], float* to) {
  float even[2 * kWidth];
  float odd[2 * kWidth];
  put_in_turn<kWidth>(load(rows[0]), load(rows[2]), even);
  put_in_turn<kWidth>(load(rows[1]), load(rows[3]), odd);
  for (int half = 0; half < 2; ++half)
    put_in_turn<kWidth>(load(even + half * kWidth), load(odd + half * kWidth),
                        to + half * 2 * kWidth);
}

static void normals(std::uint64_t key, std::uint64_t iteration, std::uint32_t sample,
                    const std::uint32_t* blocks, int count, float* values) {
  for (int i = 0; i < count; i += kWidth) {
    const int some = count - i < kWidth ? count - i : kWidth;
    std::uint32_t own_blocks[kWidth] = {};
    for (int b = 0; b < some; ++b) own_blocks[b] = blocks[i + b];
    Bits counter[4] = {{},
                       sample - Bits{},
                       static_cast<std::uint32_t>(iteration) - Bits{},
                       static_cast<std::uint32_t>(iteration >> 32) - Bits{}};
    __builtin_memcpy(&counter[0], own_blocks, sizeof(own_blocks));
    philox(counter, static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32));
    std::uint32_t bits[4][kWidth];
    __builtin_memcpy(bits, counter, sizeof(bits));
    float normal[4][kWidth];
    to_normals(bits, normal);
    float in_turn[4 * kWidth];
    put_by_fours(normal, in_turn);
    for (int v = 0; v < 4 * some; ++v) values[4 * i + v] = in_turn[v];
  }
}

}  // namespace vibnet::VIBNET_ISA
