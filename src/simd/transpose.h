#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// The two rows with the values of `a` whose index has the bit STEP and those of `b` whose index
/// lacks it in each other's places (Eklundh's transposition).
template <int STEP>
VIBNET_INLINE void exchange(Vector* a, Vector* b) {
  using Index = int __attribute__((vector_size(kWidth * sizeof(int))));
  Index from_a;
  Index from_b;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    from_a[i] = (i & STEP) == 0 ? i : kWidth + i - STEP;
    from_b[i] = (i & STEP) == 0 ? i + STEP : kWidth + i;
  }
  const Vector first = *a;
  const Vector second = *b;
#if defined(__clang__)
#pragma clang loop unroll(full)
  for (int i = 0; i < kWidth; ++i) {
    (*a)[i] = from_a[i] < kWidth ? first[from_a[i]] : second[from_a[i] - kWidth];
    (*b)[i] = from_b[i] < kWidth ? first[from_b[i]] : second[from_b[i] - kWidth];
  }
#else
  *a = __builtin_shuffle(first, second, from_a);
  *b = __builtin_shuffle(first, second, from_b);
#endif
}

template <int STEP>
VIBNET_INLINE void exchange_all(Vector (&rows)[kWidth]) {
  if constexpr (STEP < kWidth) {
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i)
      if ((i & STEP) == 0) exchange<STEP>(&rows[i], &rows[i + STEP]);
  }
}

VIBNET_INLINE void transpose(Vector (&rows)[kWidth]) {
  exchange_all<8>(rows);
  exchange_all<4>(rows);
  exchange_all<2>(rows);
  exchange_all<1>(rows);
}

/// kWidth channels from the first one given; those from `channels` on are 0.
VIBNET_INLINE void interleave_lanes(const float* planes, std::ptrdiff_t plane, int channels,
                                    int count, float* interleaved) {
  int i = 0;
  for (; i + kWidth <= count; i += kWidth) {
    Vector rows[kWidth] = {};
#pragma GCC unroll 16
    for (int c = 0; c < kWidth; ++c)
      if (c < channels) rows[c] = load(planes + c * plane + i);
    transpose(rows);
#pragma GCC unroll 16
    for (int r = 0; r < kWidth; ++r) store(rows[r], interleaved + (i + r) * kLanes);
  }
  for (; i < count; ++i)
    for (int c = 0; c < kWidth; ++c)
      interleaved[i * kLanes + c] = c < channels ? planes[c * plane + i] : 0;
}

static void interleave(const float* planes, std::ptrdiff_t plane, int channels, int count,
                       float* interleaved) {
  for (int lane = 0; lane < kLanes; lane += kWidth)
    interleave_lanes(planes + lane * plane, plane, channels - lane, count, interleaved + lane);
}

VIBNET_INLINE void deinterleave_lanes(const float* interleaved, int count, const float* bias,
                                      float* planes, std::ptrdiff_t plane, int channels) {
  int i = 0;
  for (; i + kWidth <= count; i += kWidth) {
    Vector rows[kWidth];
#pragma GCC unroll 16
    for (int r = 0; r < kWidth; ++r) rows[r] = load(interleaved + (i + r) * kLanes);
    transpose(rows);
#pragma GCC unroll 16
    for (int c = 0; c < kWidth; ++c)
      if (c < channels)
        store(bias == nullptr ? rows[c] : rows[c] + bias[c], planes + c * plane + i);
  }
  for (; i < count; ++i)
    for (int c = 0; c < kWidth && c < channels; ++c)
      planes[c * plane + i] = interleaved[i * kLanes + c] + (bias == nullptr ? 0 : bias[c]);
}

static void deinterleave(const float* interleaved, int count, const float* bias, float* planes,
                         std::ptrdiff_t plane, int channels) {
  for (int lane = 0; lane < kLanes; lane += kWidth)
    deinterleave_lanes(interleaved + lane, count, bias == nullptr ? nullptr : bias + lane,
                       planes + lane * plane, plane, channels - lane);
}

}  // namespace vibnet::VIBNET_ISA
