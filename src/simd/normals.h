#pragma once

#include <cstdint>

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// Philox4x32-10 (Salmon et al., 2011), in place.
VIBNET_INLINE void philox(std::uint32_t (&counter)[4], std::uint32_t key0, std::uint32_t key1) {
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{counter[0]} * 0xD2511F53u;
    const std::uint64_t product1 = std::uint64_t{counter[2]} * 0xCD9E8D57u;
    counter[0] = static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0;
    counter[1] = static_cast<std::uint32_t>(product1);
    counter[2] = static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1;
    counter[3] = static_cast<std::uint32_t>(product0);
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

static void normals(std::uint64_t key, std::uint64_t iteration, std::uint32_t sample,
                    const std::uint32_t* blocks, int count, float* values) {
  const std::uint32_t key0 = static_cast<std::uint32_t>(key);
  const std::uint32_t key1 = static_cast<std::uint32_t>(key >> 32);
  const std::uint32_t low = static_cast<std::uint32_t>(iteration);
  const std::uint32_t high = static_cast<std::uint32_t>(iteration >> 32);
#pragma omp simd
  for (int i = 0; i < count; ++i) {
    std::uint32_t bits[4] = {blocks[i], sample, low, high};
    philox(bits, key0, key1);
    const float radius0 = __builtin_sqrtf(-2 * log_of(uniform_of(bits[0])));
    const float radius1 = __builtin_sqrtf(-2 * log_of(uniform_of(bits[1])));
    const Circle circle0 = circle_of(uniform_of(bits[2]));
    const Circle circle1 = circle_of(uniform_of(bits[3]));
    values[4 * i] = radius0 * circle0.cosine;
    values[4 * i + 1] = radius0 * circle0.sine;
    values[4 * i + 2] = radius1 * circle1.cosine;
    values[4 * i + 3] = radius1 * circle1.sine;
  }
}

}  // namespace vibnet::VIBNET_ISA
