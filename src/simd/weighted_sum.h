#pragma once

#include "simd/multiply.h"
#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// Of FILTERS filters from one on, the vectors of a row from `from` on. `room`: so many floats may
/// be written from `to` on.
template <int FILTERS, int VECTORS>
VIBNET_INLINE void put_weighted_sums(const WeightedSums& w, int filter, const float* from,
                                     float* to, std::ptrdiff_t room) {
  Vector sums[FILTERS][VECTORS];
#pragma GCC unroll 16
  for (int f = 0; f < FILTERS; ++f)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sums[f][v] = broadcast(w.epilogue.bias_of(filter + f));
  const float* weights = w.weights + std::ptrdiff_t{filter} * w.terms;
  for (int t = 0; t < w.terms; ++t, ++weights) {
    Vector values[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) values[v] = load(from + w.offsets[t] + v * kWidth);
#pragma GCC unroll 16
    for (int f = 0; f < FILTERS; ++f) {
      const Vector weight = broadcast(weights[f * w.terms]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[f][v] += weight * values[v];
    }
  }
#pragma GCC unroll 16
  for (int f = 0; f < FILTERS; ++f, to += w.to_filter)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) {
      Vector sum = sums[f][v];
      if (w.epilogue.residual != nullptr)
        sum += load(w.epilogue.residual + (to - w.to) + v * kWidth);
      if (w.epilogue.rectifies) sum = rectified(sum);
      if ((v + 1) * kWidth <= room)
        store(sum, to + v * kWidth);
      else
        for (int i = 0; i < kWidth; ++i)
          if (v * kWidth + i < room) to[v * kWidth + i] = sum[i];
    }
}

/// The last vectors of a row, fewer than those at once.
template <int FILTERS, int VECTORS>
VIBNET_INLINE void put_last_sums(const WeightedSums& w, int filter, int vectors, const float* from,
                                 float* to, std::ptrdiff_t room) {
  if constexpr (VECTORS > 0) {
    if (vectors == VECTORS)
      put_weighted_sums<FILTERS, VECTORS>(w, filter, from, to, room);
    else
      put_last_sums<FILTERS, VECTORS - 1>(w, filter, vectors, from, to, room);
  }
}

/// All rows of FILTERS filters, which leave room for so many vectors at once in the registers.
template <int FILTERS>
void put_rows(const WeightedSums& w, int filter) {
  constexpr int kAtOnce = 4 * FILTERS <= kTileVectors * kTileRows ? 4 : kTileVectors;
  const int vectors = (w.count + kWidth - 1) / kWidth;
  const std::ptrdiff_t end = (w.rows - 1) * w.to_row + w.count;
  for (int row = 0; row < w.rows; ++row) {
    const float* from = w.from + row * w.from_row;
    float* to = w.to + filter * w.to_filter + row * w.to_row;
    std::ptrdiff_t room = end - row * w.to_row;
    int v = 0;
    for (; v + kAtOnce <= vectors;
         v += kAtOnce, from += kAtOnce * kWidth, to += kAtOnce * kWidth, room -= kAtOnce * kWidth)
      put_weighted_sums<FILTERS, kAtOnce>(w, filter, from, to, room);
    put_last_sums<FILTERS, kAtOnce - 1>(w, filter, vectors - v, from, to, room);
  }
}

template <int FILTERS>
void put_last_filters(const WeightedSums& w, int filter) {
  if constexpr (FILTERS > 0) {
    if (w.filters - filter == FILTERS) return put_rows<FILTERS>(w, filter);
    put_last_filters<FILTERS - 1>(w, filter);
  }
}

static void weighted_sums(const WeightedSums& w) {
  int filter = 0;
  for (; filter + kTileRows <= w.filters; filter += kTileRows) put_rows<kTileRows>(w, filter);
  put_last_filters<kTileRows - 1>(w, filter);
}

/// As many taps of kTapFilters filters as the registers hold sums of.
constexpr int kTapsAtOnce = kTileRows * kTileVectors / kTapFilters;

/// Adds to the sums of TAPS taps from one on.
template <int TAPS>
VIBNET_INLINE void add_tap_sums(const TapSums& t, int tap) {
  Vector sums[TAPS][kTapFilters];
  float* memory = t.sums + std::ptrdiff_t{tap} * kTapFilters * kLanes;
#pragma GCC unroll 8
  for (int i = 0; i < TAPS; ++i)
#pragma GCC unroll 4
    for (int f = 0; f < kTapFilters; ++f)
      sums[i][f] = load(memory + (i * kTapFilters + f) * kLanes);
  for (int row = 0; row < t.rows; ++row) {
    const float* from = t.from + row * t.from_row;
    const float* other = t.other + std::ptrdiff_t{row} * t.count;
    for (int c = 0; c < t.count; c += kWidth) {
      Vector others[kTapFilters];
#pragma GCC unroll 4
      for (int f = 0; f < kTapFilters; ++f) others[f] = load(other + f * t.other_filter + c);
#pragma GCC unroll 8
      for (int i = 0; i < TAPS; ++i) {
        const Vector value = load(from + t.offsets[tap + i] + c);
#pragma GCC unroll 4
        for (int f = 0; f < kTapFilters; ++f) sums[i][f] += value * others[f];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < TAPS; ++i)
#pragma GCC unroll 4
    for (int f = 0; f < kTapFilters; ++f)
      store(sums[i][f], memory + (i * kTapFilters + f) * kLanes);
}

/// The last taps, fewer than kTapsAtOnce.
template <int TAPS>
VIBNET_INLINE void add_last_taps(const TapSums& t, int tap) {
  if constexpr (TAPS > 0) {
    if (t.taps - tap == TAPS) return add_tap_sums<TAPS>(t, tap);
    add_last_taps<TAPS - 1>(t, tap);
  }
}

static void tap_sums(const TapSums& t) {
  int tap = 0;
  for (; tap + kTapsAtOnce <= t.taps; tap += kTapsAtOnce) add_tap_sums<kTapsAtOnce>(t, tap);
  add_last_taps<kTapsAtOnce - 1>(t, tap);
}

}  // namespace vibnet::VIBNET_ISA
