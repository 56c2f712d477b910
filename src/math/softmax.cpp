#include "math/softmax.h"

#include <algorithm>
#include <cmath>

#include "math/parallel.h"

namespace vibnet {
namespace {

void softmax_row(const float* x, int classes, int stride, float* y) {
  float largest = x[0];
  for (int c = 1; c < classes; ++c) largest = std::max(largest, x[c * stride]);
  float sum = 0;
  for (int c = 0; c < classes; ++c) sum += y[c * stride] = std::exp(x[c * stride] - largest);
  for (int c = 0; c < classes; ++c) y[c * stride] /= sum;
}

}  // namespace

void softmax(const float* x, int outer, int classes, int inner, float* y) {
  if (classes == 0) return;
  parallel_for(outer * inner, grain_of(16LL * classes), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t first = row / inner * classes * inner + row % inner;
      softmax_row(x + first, classes, inner, y + first);
    }
  });
}

}  // namespace vibnet
