#pragma once

#include <type_traits>

#include "simd/strided.h"

namespace vibnet::VIBNET_ISA {

template <int W>
using Width = std::integral_constant<int, W>;

/// `count` zeros, and perhaps some behind them: mostly one vector, without a loop.
VIBNET_INLINE void put_zeros(std::ptrdiff_t count, float* to) {
  if (count > 0) store(Vector{}, to);
  for (std::ptrdiff_t i = kWidth; i < count; i += kWidth) store(Vector{}, to + i);
}

/// What is written behind a row's end, the next row overwrites. The description is a copy, so that
/// it stays in registers.
template <typename CopyRow>
VIBNET_INLINE void pad_planes_by(const PaddedPlanes p, const CopyRow& copy_row) {
  const std::ptrdiff_t tail = p.to_row - p.head - p.count;
  for (int plane = 0; plane < p.planes; ++plane) {
    const float* from = p.from + plane * p.from_plane;
    float* to = p.to + plane * p.to_plane;
    put_zeros(p.above * p.to_row, to);
    to += p.above * p.to_row;
    for (int row = 0; row < p.rows; ++row, from += p.from_row, to += p.to_row) {
      put_zeros(p.head, to);
      copy_row(from, to + p.head);
      put_zeros(tail, to + p.head + p.count);
    }
    put_zeros(p.below * p.to_row, to);
  }
}

/// to[i] = from[2 * i]. Up to kLanes floats more are read, and written.
VIBNET_INLINE void copy_even(const float* from, int count, float* to) {
  int i = 0;
  const auto copy = [&](auto width) __attribute__((always_inline)) {
    const auto row = load_strided<width, 2>(from + 2 * i, 2);
    __builtin_memcpy(to + i, &row, sizeof(row));
    i += width;
  };
  while (i + kWidth <= count) copy(Width<kWidth>());
  if constexpr (kWidth > 8)
    if (count - i > 8) copy(Width<16>());
  if constexpr (kWidth > 4)
    if (count - i > 4) copy(Width<8>());
  if (count > i) copy(Width<4>());
}

static void pad_planes(const PaddedPlanes& planes) {
  const int step = planes.step;
  const int count = planes.count;
  if (step == 1 && count > 0 && count <= kWidth)
    pad_planes_by(planes, [](const float* from, float* to) { store(load(from), to); });
  else if (step == 1)
    pad_planes_by(planes, [=](const float* from, float* to) {
      for (int i = 0; i < count; i += kWidth) store(load(from + i), to + i);
    });
  else if (step == 2)
    pad_planes_by(planes, [=](const float* from, float* to) { copy_even(from, count, to); });
  else
    pad_planes_by(planes, [=](const float* from, float* to) {
      for (int i = 0; i < count; ++i) to[i] = from[std::ptrdiff_t{i} * step];
    });
}

/// The first `count` values, and zeros behind them.
VIBNET_INLINE Vector first_of(Vector values, int count) {
  Vectors<kWidth>::Indices lanes;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) lanes[i] = i;
  return lanes < count ? values : Vector{};
}

/// What stands between the values, and behind them up to `end`, gets zeros added to it.
template <int STEP>
VIBNET_INLINE void add_row(const float* from, int count, float* to, const float* end) {
  for (int i = 0; i < count; i += kWidth, from += kWidth, to += STEP * kWidth) {
    const int left = count - i;
    if (end - to < STEP * kWidth) {
      for (int j = 0; j < left; ++j) to[STEP * j] += from[j];
      return;
    }
    const Vector values = left < kWidth ? first_of(load(from), left) : load(from);
    if constexpr (STEP == 1) {
      store(load(to) + values, to);
    } else {
      Vector low;
      Vector high;
      put_zeros_between(values, &low, &high);
      store(load(to) + low, to);
      store(load(to + kWidth) + high, to + kWidth);
    }
  }
}

template <typename AddRow>
VIBNET_INLINE void add_planes_by(const AddedPlanes a, const AddRow& add_row) {
  for (int plane = 0; plane < a.planes; ++plane)
    for (int row = 0; row < a.rows; ++row)
      add_row(a.from + plane * a.from_plane + row * a.from_row,
              a.to + plane * a.to_plane + row * a.to_row);
}

static void add_planes(const AddedPlanes& a) {
  const int count = a.count;
  const std::ptrdiff_t step = a.step;
  const float* end =
      a.to + (a.planes - 1) * a.to_plane + (a.rows - 1) * a.to_row + (count - 1) * step + 1;
  if (step == 1)
    add_planes_by(a, [=](const float* from, float* to) { add_row<1>(from, count, to, end); });
  else if (step == 2)
    add_planes_by(a, [=](const float* from, float* to) { add_row<2>(from, count, to, end); });
  else
    add_planes_by(a, [=](const float* from, float* to) {
      for (int i = 0; i < count; ++i) to[i * step] += from[i];
    });
}

}  // namespace vibnet::VIBNET_ISA
