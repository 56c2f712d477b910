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

/// Terms that are summed at a time, and rows from which on it is worth it to copy B for them.
constexpr int kDepth = 256;
constexpr int kRowsToCopyFor = 4 * kTileRows;
/// Terms that are asked for ahead of their use, as weights stream past a small product.
constexpr int kAhead = 32;
/// Terms from which on it costs a tile little to ask for what it will write.
constexpr int kTermsToAskFor = 128;

/// Of a row of C, where it ends within the vectors.
template <int VECTORS>
VIBNET_INLINE void copy_some(const float* from, int columns, float* to) {
  for (int i = 0; i < VECTORS * kWidth; ++i)
    if (i < columns) to[i] = from[i];
}

/// Writes a tile's sums, with what is added to them.
template <int ROWS, int VECTORS>
VIBNET_INLINE void put(const Product& p, int row, const Vector (&sums)[ROWS][VECTORS]) {
  const bool is_whole = p.columns >= VECTORS * kWidth;
  const bool is_plain = is_whole && !p.adds && p.epilogue.bias == nullptr;
  const bool rectifies = p.epilogue.rectifies;
  float* c = p.c + row * p.c_row;
#pragma GCC unroll 16
  for (int r = 0; is_plain && r < ROWS; ++r, c += p.c_row)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v)
      store(rectifies ? rectified(sums[r][v]) : sums[r][v], c + v * kWidth);
  if (is_plain) return;
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r, c += p.c_row) {
    float some[VECTORS * kWidth] = {};
    if (p.adds && !is_whole) copy_some<VECTORS>(c, p.columns, some);
    float* to = is_whole ? c : some;
    const Vector bias = broadcast(p.epilogue.bias_of(row + r));
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) {
      const Vector sum = sums[r][v] + (p.adds ? load(to + v * kWidth) : bias);
      store(rectifies ? rectified(sum) : sum, to + v * kWidth);
    }
    if (!is_whole) copy_some<VECTORS>(some, p.columns, c);
  }
}

/// Terms that the loops below take at a time: counting takes turns with the products on the CPU's
/// ports.
constexpr int kTerms = 2;
/// Rows of A that are addressed from one pointer.
constexpr int kRowsOfPointer = 3;

/// Has the compiler go on from this pointer, and keep no others for what is some floats away.
VIBNET_INLINE void keep(const float*& pointer) { asm("" : "+r"(pointer)); }

/// The sums of the tile of C from a row on. BY_TERMS: a row of A's terms stand side by side, else a
/// term's rows. ASKS: B is not in cache yet. `more` terms follow in A and B.
template <bool BY_TERMS, bool ASKS, int ROWS, int VECTORS>
VIBNET_INLINE void sum_tile(const Product& p, int row, int more, Vector (&sums)[ROWS][VECTORS]) {
  constexpr int kPointers = BY_TERMS ? (ROWS + kRowsOfPointer - 1) / kRowsOfPointer : 1;
  const std::ptrdiff_t stride = BY_TERMS ? p.a_row : p.a_depth;
  const std::ptrdiff_t b_depth = p.b_depth;
  const float* a[kPointers];
  for (int i = 0; i < kPointers; ++i) a[i] = p.a_at(row) + i * kRowsOfPointer * stride;
  const float* b = p.b;
  const auto add_term = [&](int term) __attribute__((always_inline)) {
    Vector values[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) values[v] = load(b + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      const Vector factor =
          broadcast(BY_TERMS ? a[r / kRowsOfPointer][r % kRowsOfPointer * stride + term] : a[0][r]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[r][v] += factor * values[v];
    }
    b += b_depth;
    keep(b);
    if (BY_TERMS) return;
    a[0] += stride;
    keep(a[0]);
  };
  const auto end_terms = [&](int terms) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int i = 0; BY_TERMS && i < kPointers; ++i) {
      a[i] += terms;
      keep(a[i]);
    }
  };
  int d = 0;
  for (; d + kTerms <= p.depth; d += kTerms) {
    // What is behind may be another thread's to write.
    const int ahead = p.depth - d + more > kAhead ? kAhead : 0;
    const float* next_a = a[0] + ahead * stride;
    const float* next_b = b + ahead * b_depth;
#pragma GCC unroll 2
    for (int term = 0; term < kTerms; ++term, next_a += stride, next_b += b_depth) {
      if (!BY_TERMS) __builtin_prefetch(next_a);
#pragma GCC unroll 4
      for (int v = 0; ASKS && v < VECTORS; ++v) __builtin_prefetch(next_b + v * kWidth);
      add_term(term);
    }
    end_terms(kTerms);
  }
  for (; d < p.depth; ++d) {
    add_term(0);
    end_terms(1);
  }
}

/// Brings the tile of C to the cache, to be written.
template <int ROWS, int VECTORS>
VIBNET_INLINE void ask_for_tile(const Product& p, int row) {
  float* c = p.c + row * p.c_row;
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r, c += p.c_row)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v)
      if (v * kWidth < p.columns) __builtin_prefetch(c + v * kWidth, 1);
}

/// The tile of C from a row on, its sums kept in registers.
template <bool ASKS, int ROWS, int VECTORS>
void multiply_tile(const Product& p, int row, int more) {
  Vector sums[ROWS][VECTORS] = {};
  if (!p.adds && p.depth >= kTermsToAskFor) ask_for_tile<ROWS, VECTORS>(p, row);
  if (p.column_bias != nullptr)
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = load(p.column_bias + v * kWidth);
  if (p.a_depth == 1)
    sum_tile<true, ASKS>(p, row, more, sums);
  else
    sum_tile<false, ASKS>(p, row, more, sums);
  put(p, row, sums);
}

/// The last rows, fewer than a whole tile.
template <int ROWS, int VECTORS>
void multiply_last_rows(const Product& p, int row, int more) {
  if constexpr (ROWS > 0) {
    if (p.rows - row == ROWS) return multiply_tile<true, ROWS, VECTORS>(p, row, more);
    multiply_last_rows<ROWS - 1, VECTORS>(p, row, more);
  }
}

/// Puts B's rows, so many columns of them, to where they are close together.
VIBNET_INLINE void copy_panel(int columns, float* copy, Product* p) {
  for (int d = 0; d < p->depth; ++d)
    for (int i = 0; i < columns; i += kWidth)
      store(load(p->b + d * p->b_depth + i), copy + d * columns + i);
  p->b = copy;
  p->b_depth = columns;
}

/// As many columns as VECTORS hold. The first tile brings B's to the cache.
template <int VECTORS>
void multiply_panel(const Product& p, int more) {
  int row = 0;
  if (p.rows >= kTileRows) multiply_tile<true, kTileRows, VECTORS>(p, row, more), row += kTileRows;
  for (; row + kTileRows <= p.rows; row += kTileRows)
    multiply_tile<false, kTileRows, VECTORS>(p, row, more);
  multiply_last_rows<kTileRows - 1, VECTORS>(p, row, more);
}

/// Behind the last terms, in a loop of its own: those of the tiles have no register to spare.
static void add_residual(const Product& p, int most, const float* residual, bool rectifies) {
  const int columns = p.columns < most ? p.columns : most;
  float* c = p.c;
  for (int row = 0; row < p.rows; ++row, c += p.c_row, residual += p.c_row)
    for (int i = 0; i < columns; ++i) {
      const float value = c[i] + residual[i];
      c[i] = rectifies && value < 0 ? 0 : value;
    }
}

static void multiply(const Product& p) {
  constexpr int kPanel = kTileVectors * kWidth;
  alignas(64) float copy[kDepth * kPanel];
  const bool has_residual = p.epilogue.residual != nullptr;
  const bool copies = p.rows >= kRowsToCopyFor && p.b_depth > kPanel;
  for (int column = 0; column < p.columns; column += kPanel)
    for (int d = 0; d == 0 || d < p.depth; d += kDepth) {
      Product part = p;
      part.columns = p.columns - column;
      part.depth = p.depth - d < kDepth ? p.depth - d : kDepth;
      part.a += d * p.a_depth;
      part.b += d * p.b_depth + column;
      part.c += column;
      part.adds = p.adds || d > 0;
      part.column_bias = part.adds || p.column_bias == nullptr ? nullptr : p.column_bias + column;
      const bool is_last = d + part.depth == p.depth;
      part.epilogue = {p.epilogue.bias, nullptr, p.epilogue.rectifies && is_last && !has_residual};
      const bool is_wide = round_up_to_lanes(part.columns) >= kPanel;
      if (copies) copy_panel(is_wide ? kPanel : kLanes, copy, &part);
      const int more = p.depth - d - part.depth;
      is_wide ? multiply_panel<kTileVectors>(part, more)
              : multiply_panel<kLanes / kWidth>(part, more);
      if (is_last && has_residual)
        add_residual(part, is_wide ? kPanel : kLanes, p.epilogue.residual + column,
                     p.epilogue.rectifies);
    }
}

}  // namespace vibnet::VIBNET_ISA
