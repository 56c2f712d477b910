#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

// As many sums as the registers hold, next to a row of B and a value of A.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
constexpr int kTileVectors = 2;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;
#elif defined(__aarch64__)
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;
#else
constexpr int kTileRows = 3;
constexpr int kTileVectors = 4;
#endif

template <int VECTORS>
VIBNET_INLINE void put(const Vector (&sums)[VECTORS], bool adds, float* c) {
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v, c += kWidth) store(adds ? load(c) + sums[v] : sums[v], c);
}

/// Where C ends within the vectors.
template <int VECTORS>
VIBNET_INLINE void put_some(const Vector (&sums)[VECTORS], bool adds, int columns, float* c) {
  float values[VECTORS * kWidth];
  put<VECTORS>(sums, false, values);
  for (int i = 0; i < columns; ++i) c[i] = adds ? c[i] + values[i] : values[i];
}

/// The tile of C from (row, column), its sums kept in registers.
template <int ROWS, int VECTORS>
void multiply_tile(const Product& p, int row, int column) {
  Vector sums[ROWS][VECTORS] = {};
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + column;
  for (int d = 0; d < p.depth; ++d, a += p.a_depth, b += p.b_depth) {
    Vector values[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) values[v] = load(b + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      const Vector factor = broadcast(a[r * p.a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[r][v] += factor * values[v];
    }
  }
  const int columns = p.columns - column;
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
    float* c = p.c + (row + r) * p.c_row + column;
    if (columns >= VECTORS * kWidth)
      put<VECTORS>(sums[r], p.adds, c);
    else
      put_some<VECTORS>(sums[r], p.adds, columns, c);
  }
}

/// The last rows, fewer than a whole tile.
template <int ROWS, int VECTORS>
void multiply_last_rows(const Product& p, int row, int column) {
  if constexpr (ROWS > 0) {
    if (p.rows - row == ROWS) return multiply_tile<ROWS, VECTORS>(p, row, column);
    multiply_last_rows<ROWS - 1, VECTORS>(p, row, column);
  }
}

template <int VECTORS>
void multiply_columns(const Product& p, int column) {
  int row = 0;
  for (; row + kTileRows <= p.rows; row += kTileRows)
    multiply_tile<kTileRows, VECTORS>(p, row, column);
  multiply_last_rows<kTileRows - 1, VECTORS>(p, row, column);
}

static void multiply(const Product& p) {
  int column = 0;
  for (; column + kTileVectors * kWidth <= round_up_to_lanes(p.columns);
       column += kTileVectors * kWidth)
    multiply_columns<kTileVectors>(p, column);
  if (column < p.columns) multiply_columns<kLanes / kWidth>(p, column);
}

}  // namespace vibnet::VIBNET_ISA
