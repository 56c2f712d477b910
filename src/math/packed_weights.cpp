#include "math/packed_weights.h"

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "math/parallel.h"

namespace vibnet {
namespace {

/// Rows that a thread takes at a time, at most.
constexpr int kRows = 9 * kRowStep;
/// Floats of weights that each core's own cache holds.
constexpr std::size_t kCoreFloats = 7 << 16;

}  // namespace

int PackedWeights::outputs(int panel) const { return std::min(kPanel, outputs_ - panel * kPanel); }

void PackedWeights::pack(const float* weights, float* packed) const {
  parallel_jobs(panels(), [&](int panel, int /*thread*/) {
    float* to = packed + panel * panel_size();
    if (outputs(panel) <= kLanes) std::fill_n(to, panel_size(), 0.0f);
    kernels().interleave(weights + std::ptrdiff_t{panel} * kPanel * inputs_, inputs_,
                         outputs(panel), inputs_, to, kPanel);
  });
}

void PackedWeights::multiply(const float* packed, int panel, int rows, const float* a,
                             std::ptrdiff_t a_row, std::ptrdiff_t a_depth, const Epilogue& epilogue,
                             float* c, std::ptrdiff_t c_row) const {
  Product product{rows,
                  outputs(panel),
                  inputs_,
                  a,
                  a_row,
                  a_depth,
                  packed + panel * panel_size(),
                  kPanel,
                  c,
                  c_row,
                  false,
                  {nullptr, nullptr, epilogue.rectifies}};
  if (epilogue.bias != nullptr) product.column_bias = epilogue.bias + panel * kPanel;
  kernels().multiply(product);
}

void PackedWeights::multiply(const float* packed, int rows, const float* x,
                             const Epilogue& epilogue, float* y) const {
  if (rows == 0) return;
  // Threads share rows rather than weights: so each reads what it has written a layer before.
  const int sharers = size() <= kCoreFloats && rows >= kRowStep ? omp_get_max_threads() : 1;
  const int most = std::max(kRowStep, parts(rows, sharers * parts(rows, sharers * kRows)));
  const std::int64_t multiply_adds = std::int64_t{rows} * outputs_ * inputs_;
  share_product(panels() * parts(rows, most), multiply_adds, [&](int job, int /*thread*/) {
    const int panel = job % panels();
    const int first = job / panels() * most;
    const int count = std::min(most, rows - first);
    multiply(packed, panel, count, x + std::ptrdiff_t{first} * inputs_, inputs_, 1, epilogue,
             y + std::ptrdiff_t{first} * outputs_ + panel * kPanel, outputs_);
  });
}

}  // namespace vibnet
