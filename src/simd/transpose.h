#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// W floats of a row, and as many indices.
template <int W>
struct Vectors {
  typedef float Floats __attribute__((vector_size(W * sizeof(float))));
  typedef int Indices __attribute__((vector_size(W * sizeof(int))));
};
template <int W>
using Row = typename Vectors<W>::Floats;

template <int W>
VIBNET_INLINE Row<W> load_row(const float* p) {
  Row<W> row;
  __builtin_memcpy(&row, p, sizeof(row));
  return row;
}

/// The two rows with the values of `a` whose index has the bit STEP and those of `b` whose index
/// lacks it in each other's places (Eklundh's transposition).
template <int STEP, int W>
VIBNET_INLINE void exchange(Row<W>* a, Row<W>* b) {
  const Row<W> first = *a;
  const Row<W> second = *b;
#if defined(__clang__)
#pragma clang loop unroll(full)
  for (int i = 0; i < W; ++i) {
    (*a)[i] = (i & STEP) == 0 ? first[i] : second[i - STEP];
    (*b)[i] = (i & STEP) == 0 ? first[i + STEP] : second[i];
  }
#else
  typename Vectors<W>::Indices from_a;
  typename Vectors<W>::Indices from_b;
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
    from_a[i] = (i & STEP) == 0 ? i : W + i - STEP;
    from_b[i] = (i & STEP) == 0 ? i + STEP : W + i;
  }
  *a = __builtin_shuffle(first, second, from_a);
  *b = __builtin_shuffle(first, second, from_b);
#endif
}

template <int STEP, int W>
VIBNET_INLINE void exchange_all(Row<W> (&rows)[W]) {
  if constexpr (STEP < W) {
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i)
      if ((i & STEP) == 0) exchange<STEP, W>(&rows[i], &rows[i + STEP]);
  }
}

template <int W>
VIBNET_INLINE void transpose(Row<W> (&rows)[W]) {
  exchange_all<8, W>(rows);
  exchange_all<4, W>(rows);
  exchange_all<2, W>(rows);
  exchange_all<1, W>(rows);
}

/// From the i-th value of each channel on, W at a time. Returns the first that is left.
template <int W>
VIBNET_INLINE int interleave_by(const float* planes, std::ptrdiff_t plane, int channels, int i,
                                int count, float* interleaved, std::ptrdiff_t row) {
  for (; i + W <= count; i += W)
    for (int lane = 0; lane < round_up_to_lanes(channels); lane += W) {
      Row<W> rows[W] = {};
#pragma GCC unroll 16
      for (int c = 0; c < W; ++c)
        if (lane + c < channels) rows[c] = load_row<W>(planes + (lane + c) * plane + i);
      transpose<W>(rows);
#pragma GCC unroll 16
      for (int r = 0; r < W; ++r)
        __builtin_memcpy(interleaved + (i + r) * row + lane, &rows[r], sizeof(rows[r]));
    }
  return i;
}

static void interleave(const float* planes, std::ptrdiff_t plane, int channels, int count,
                       float* interleaved, std::ptrdiff_t row) {
  int i = interleave_by<kWidth>(planes, plane, channels, 0, count, interleaved, row);
  if constexpr (kWidth > 4)
    i = interleave_by<4>(planes, plane, channels, i, count, interleaved, row);
  for (; i < count; ++i)
    for (int c = 0; c < round_up_to_lanes(channels); ++c)
      interleaved[i * row + c] = c < channels ? planes[c * plane + i] : 0;
}

template <int W, bool ADDS>
VIBNET_INLINE int deinterleave_by(const float* interleaved, std::ptrdiff_t row, int i, int count,
                                  const Epilogue& epilogue, float* planes, std::ptrdiff_t plane,
                                  int channels) {
  for (; i + W <= count; i += W)
    for (int lane = 0; lane < channels; lane += W) {
      Row<W> rows[W];
#pragma GCC unroll 16
      for (int r = 0; r < W; ++r) rows[r] = load_row<W>(interleaved + (i + r) * row + lane);
      transpose<W>(rows);
#pragma GCC unroll 16
      for (int c = 0; c < W; ++c) {
        if (lane + c >= channels) continue;
        const std::ptrdiff_t at = (lane + c) * plane + i;
        rows[c] += epilogue.bias_of(lane + c);
        if (ADDS) rows[c] += load_row<W>(epilogue.residual + at);
        if (epilogue.rectifies) rows[c] = rows[c] < 0 ? Row<W>{} : rows[c];
        __builtin_memcpy(planes + at, &rows[c], sizeof(rows[c]));
      }
    }
  return i;
}

template <bool ADDS>
VIBNET_INLINE void deinterleave_all(const float* interleaved, std::ptrdiff_t row, int count,
                                    const Epilogue& epilogue, float* planes, std::ptrdiff_t plane,
                                    int channels) {
  int i =
      deinterleave_by<kWidth, ADDS>(interleaved, row, 0, count, epilogue, planes, plane, channels);
  if constexpr (kWidth > 4)
    i = deinterleave_by<4, ADDS>(interleaved, row, i, count, epilogue, planes, plane, channels);
  for (; i < count; ++i)
    for (int c = 0; c < channels; ++c)
      planes[c * plane + i] = epilogue.of(c, interleaved[i * row + c], c * plane + i);
}

static void deinterleave(const float* interleaved, std::ptrdiff_t row, int count,
                         const Epilogue& epilogue, float* planes, std::ptrdiff_t plane,
                         int channels) {
  epilogue.residual == nullptr
      ? deinterleave_all<false>(interleaved, row, count, epilogue, planes, plane, channels)
      : deinterleave_all<true>(interleaved, row, count, epilogue, planes, plane, channels);
}

}  // namespace vibnet::VIBNET_ISA
