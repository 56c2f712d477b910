#include "math/gemm.h"

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// Rows of C, and terms of its sums, that are worked on at a time.
constexpr int kRows = 96;
constexpr int kDepth = 256;
/// Columns that are worked on at a time, in panels.
constexpr int kColumns = 256;
constexpr int kPanel = 2 * kLanes;
/// Rows, or columns, below which each value is a dot product.
constexpr int kDots = 4;

/// Rows, columns and terms from which on OpenBLAS is the faster one (1.1 to 1.3 times at 1,000 to
/// 2,000 of each).
constexpr int kBlas = 512;
/// Columns of a tile that a thread has it compute, of kRows rows.
constexpr int kBlasColumns = 512;

struct Matrix {
  const float* values;
  /// Floats from one row, and from one column, to the next.
  std::ptrdiff_t row;
  std::ptrdiff_t column;

  const float* at(int i, int j) const { return values + i * row + j * column; }
};

/// c[i * c_row + j * c_column], the dot product of row i of x, of M, and row j of y, of N.
void multiply_by_dots(int m, int n, int k, const float* x, const float* y, bool adds,
                      std::ptrdiff_t c_row, std::ptrdiff_t c_column, float* c) {
  // The rows come from memory, and each value is used but n times.
  const std::int64_t cost = std::int64_t{m} * k * (n + 1);
  share_product(parts(m, kRows), cost, [&](int job, int /*thread*/) {
    float sums[kRows];
    const int first = job * kRows;
    const int rows = std::min(kRows, m - first);
    for (int j = 0; j < n; ++j) {
      kernels().dots(y + std::int64_t{j} * k, x + std::int64_t{first} * k, k, rows, k, sums);
      float* to = c + first * c_row + j * c_column;
      for (int i = 0; i < rows; ++i, to += c_row) *to = adds ? *to + sums[i] : sums[i];
    }
  });
}

/// A block of C, kRows x kColumns at most: what a thread works on.
struct Block {
  int row, rows;
  int column, columns;
};

/// A product of blocks: the columns in panels of some vectors, which, like the rows of A, are
/// copied to where they are close together.
class Blocks {
 public:
  Blocks(int m, int n, int k, const Matrix& a, int panel)
      : m_(m), n_(n), k_(k), a_(a), panel_(panel) {
    const int panels = parts(n, panel);
    const int wanted = panels * parts(m, kRows) / (4 * omp_get_max_threads());
    columns_ = std::clamp(wanted, 1, kColumns / panel) * panel;
  }

  /// Calls multiply(block, memory) for each block, on some thread, with `floats` of its own.
  template <typename Multiply>
  void share(std::size_t floats, const Multiply& multiply) const {
    const int down = parts(m_, kRows);
    float* memory = scratch(floats * omp_get_max_threads());
    share_product(down * parts(n_, columns_), std::int64_t{m_} * n_ * k_, [&](int job, int thread) {
      const int row = job % down * kRows;
      const int column = job / down * columns_;
      multiply(Block{row, std::min(kRows, m_ - row), column, std::min(columns_, n_ - column)},
               memory + thread * floats);
    });
  }

  /// Terms [d, d + depth) of a block's rows of A.
  Matrix rows(const Block& block, int d, int depth, float* copy) const {
    constexpr std::ptrdiff_t kRow = kDepth + kLanes;
    if (a_.column != 1 || block.columns < 4 * panel_)
      return {a_.at(block.row, d), a_.row, a_.column};
    for (int i = 0; i < block.rows; ++i)
      std::copy_n(a_.at(block.row + i, d), depth, copy + i * kRow);
    return {copy, kRow, 1};
  }
  static constexpr std::size_t kRowsSize = std::size_t{kRows} * (kDepth + kLanes);

 private:
  int m_, n_, k_;
  Matrix a_;
  int panel_;
  int columns_;
};

/// C = A B, with B's rows as they are.
void multiply_columns(int m, int n, int k, const Matrix& a, const float* b, bool adds, float* c) {
  const Blocks blocks(m, n, k, a, kPanel);
  blocks.share(Blocks::kRowsSize, [&](const Block& block, float* memory) {
    for (int d = 0; d < k; d += kDepth) {
      const int depth = std::min(kDepth, k - d);
      const Matrix rows = blocks.rows(block, d, depth, memory);
      kernels().multiply({block.rows, block.columns, depth, rows.values, rows.row, rows.column,
                          b + std::int64_t{d} * n + block.column, n,
                          c + std::int64_t{block.row} * n + block.column, n, adds || d > 0});
    }
  });
}

/// C = X Y^T, with kPanel rows of Y at a time turned about; by_columns: C^T.
void multiply_rows(int m, int n, int k, const Matrix& x, const float* y, bool adds, bool by_columns,
                   float* c) {
  const Blocks blocks(m, n, k, x, kPanel);
  const std::size_t sums_size = by_columns ? kRows * kColumns : 0;
  blocks.share(
      Blocks::kRowsSize + kDepth * kPanel + sums_size, [&](const Block& block, float* memory) {
        float* panel = memory + Blocks::kRowsSize;
        float* sums = panel + kDepth * kPanel;
        const auto columns = [&](int j) { return std::min(kPanel, block.columns - j); };
        // Where the columns from j on, which are rows, stand in C.
        const auto at = [&](int j) { return c + std::int64_t{block.column + j} * m + block.row; };
        for (int j = 0; by_columns && adds && j < block.columns; j += kPanel)
          kernels().interleave(at(j), m, columns(j), block.rows, sums + j * kRows, kPanel);
        for (int d = 0; d < k; d += kDepth) {
          const int depth = std::min(kDepth, k - d);
          const Matrix rows = blocks.rows(block, d, depth, memory);
          for (int j = 0; j < block.columns; j += kPanel) {
            kernels().interleave(y + std::int64_t{block.column + j} * k + d, k, columns(j), depth,
                                 panel, kPanel);
            kernels().multiply(
                {block.rows, columns(j), depth, rows.values, rows.row, rows.column, panel, kPanel,
                 by_columns ? sums + j * kRows : c + std::int64_t{block.row} * n + block.column + j,
                 by_columns ? kPanel : n, adds || d > 0});
          }
        }
        for (int j = 0; by_columns && j < block.columns; j += kPanel)
          kernels().deinterleave(sums + j * kRows, kPanel, block.rows, {}, at(j), m, columns(j));
      });
}

/// Keeps BLAS to one thread: those of the team are at work, and how it would split a product
/// depends on the number of threads, and with it the last bit of the result.
class OneThread {
 public:
  OneThread() { omp_set_num_threads(1); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() { omp_set_num_threads(threads_); }

 private:
  int threads_ = omp_get_max_threads();
};

/// The product by OpenBLAS, tile by tile.
void multiply_by_blas(Transpose transpose_a, Transpose transpose_b, int m, int n, int k,
                      const Matrix& a, const Matrix& b, bool adds, float* c) {
  const bool ta = transpose_a == Transpose::YES;
  const bool tb = transpose_b == Transpose::YES;
  const int across = parts(n, kBlasColumns);
  parallel_jobs(parts(m, kRows) * across, [&](int job, int /*thread*/) {
    const OneThread one_thread;
    const int row = job / across * kRows;
    const int column = job % across * kBlasColumns;
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                std::min(kRows, m - row), std::min(kBlasColumns, n - column), k, 1, a.at(row, 0),
                ta ? m : k, b.at(0, column), tb ? k : n, adds ? 1 : 0,
                c + std::int64_t{row} * n + column, n);
  });
}

/// Multiply-adds of X Y^T, with what is done for rows and lanes that are not there.
std::int64_t padded_size(int m, int n) {
  return std::int64_t{parts(m, kRowStep)} * kRowStep * round_up_to_lanes(n);
}

}  // namespace

void gemm(Transpose transpose_a, Transpose transpose_b, int m, int n, int k, const float* a,
          const float* b, bool adds, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!adds) std::fill_n(c, std::int64_t{m} * n, 0.0f);
    return;
  }
  const Matrix rows = transpose_a == Transpose::YES ? Matrix{a, 1, m} : Matrix{a, k, 1};
  if (std::min({m, n, k}) >= kBlas)
    return multiply_by_blas(transpose_a, transpose_b, m, n, k, rows,
                            transpose_b == Transpose::YES ? Matrix{b, 1, k} : Matrix{b, n, 1}, adds,
                            c);
  if (transpose_b == Transpose::NO) return multiply_columns(m, n, k, rows, b, adds, c);
  if (transpose_a == Transpose::YES) return multiply_rows(m, n, k, rows, b, adds, false, c);
  if (m < kDots) return multiply_by_dots(n, m, k, b, a, adds, 1, n, c);
  if (n < kDots) return multiply_by_dots(m, n, k, a, b, adds, n, 1, c);
  if (padded_size(n, m) < padded_size(m, n))
    return multiply_rows(n, m, k, {b, k, 1}, a, adds, true, c);
  multiply_rows(m, n, k, rows, b, adds, false, c);
}

}  // namespace vibnet
