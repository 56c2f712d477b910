#include "math/gemm.h"

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace vibnet {
namespace {

/// Keeps BLAS to one thread, as it is by itself within a parallel region: the tiles below are
/// shared out instead. How BLAS would split a product depends on the number of threads, and with it
/// the last bit of the result.
class OneThread {
 public:
  OneThread() { omp_set_num_threads(1); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() { omp_set_num_threads(threads_); }

 private:
  int threads_ = omp_get_max_threads();
};

constexpr std::int64_t kSmallProduct = 64 * 64 * 64;
/// Multiply-adds that take longer than it takes to wake a second thread.
constexpr std::int64_t kLargeProduct = 16 << 20;
constexpr int kTileRows = 128;
constexpr int kTileColumns = 512;
constexpr int kTileColumnsOfFewRows = 64;

struct Product {
  Transpose transpose_a, transpose_b;
  int m, n, k;
  float alpha;
  const float* a;
  const float* b;
  float beta;
  float* c;

  /// The tile of C from (row, column) of at most rows x columns, on this thread.
  void compute(int row, int rows, int column, int columns) const {
    const OneThread one_thread;
    const bool ta = transpose_a == Transpose::YES;
    const bool tb = transpose_b == Transpose::YES;
    const std::int64_t a_offset = ta ? row : std::int64_t{row} * k;
    const std::int64_t b_offset = tb ? std::int64_t{column} * k : column;
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                std::min(rows, m - row), std::min(columns, n - column), k, alpha, a + a_offset,
                ta ? m : k, b + b_offset, tb ? k : n, beta, c + std::int64_t{row} * n + column, n);
  }
};

}  // namespace

void gemm(Transpose transpose_a, Transpose transpose_b, int m, int n, int k, float alpha,
          const float* a, const float* b, float beta, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {  // BLAS takes no matrix of no columns
    for (std::int64_t i = 0; i < std::int64_t{m} * n; ++i) c[i] = beta == 0 ? 0 : beta * c[i];
    return;
  }
  const Product product{transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c};
  const std::int64_t size = std::int64_t{m} * n * k;
  if (size <= kSmallProduct) return product.compute(0, m, 0, n);
  const int tile_rows = std::min(m, kTileRows);
  const int tile_columns = m > kTileRows ? kTileColumns : kTileColumnsOfFewRows;
  const int down = (m + tile_rows - 1) / tile_rows;
  const int across = (n + tile_columns - 1) / tile_columns;
  const bool is_shared_out = size >= kLargeProduct && down * across > 1 && !omp_in_parallel();
#pragma omp parallel for schedule(static) if (is_shared_out)
  for (int tile = 0; tile < down * across; ++tile)
    product.compute(tile / across * tile_rows, tile_rows, tile % across * tile_columns,
                    tile_columns);
}

}  // namespace vibnet
