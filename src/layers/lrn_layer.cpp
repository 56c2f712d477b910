#include "layers/lrn_layer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

template <typename Body>
void LRNLayer::for_each_value(const Body& body) const {
  parallel_for(scale_.count(), kParallelGrain / 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i);
  });
}

/// Replaces each value by the sum of the window around it.
void LRNLayer::sum_windows(Blob* values) {
  if (is_across()) return sum_along(1, values);
  sum_along(2, values);
  sum_along(3, values);
}

/// Replaces each value by the sum of those at most radius_ away along the axis.
void LRNLayer::sum_along(int axis, Blob* values) {
  const int size = values->shape(axis);
  const int inner = values->count(axis + 1);
  float* data = values->mutable_cpu_data();
  float* sums = sums_.mutable_cpu_data();
  parallel_for(values->count(0, axis + 1), grain_of(4LL * inner),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) {
                   const std::int64_t at = row % size;
                   const std::int64_t first = row - std::min<std::int64_t>(at, radius_);
                   const std::int64_t last = row + std::min<std::int64_t>(size - 1 - at, radius_);
                   float* sum = sums + row * inner;
                   std::copy_n(data + first * inner, inner, sum);
                   for (std::int64_t other = first + 1; other <= last; ++other)
                     for (int i = 0; i < inner; ++i) sum[i] += data[other * inner + i];
                 }
               });
  std::copy_n(sums, values->count(), data);
}

void LRNLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  float* scale = scale_.mutable_cpu_data();
  for_each_value([=](std::int64_t i) { scale[i] = x[i] * x[i]; });
  sum_windows(&scale_);
  for_each_value([=](std::int64_t i) {
    scale[i] = shift_ + factor_ * scale[i];
    y[i] = x[i] * std::pow(scale[i], -beta());
  });
}

void LRNLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                        const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float* y = top[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  const float* scale = scale_.cpu_data();
  float* dx = bottom[0]->mutable_cpu_diff();
  ratios_.reshape_like(*bottom[0]);
  float* ratio = ratios_.mutable_cpu_data();
  for_each_value([=](std::int64_t i) { ratio[i] = dy[i] * y[i] / scale[i]; });
  sum_windows(&ratios_);
  for_each_value([=](std::int64_t i) {
    dx[i] = dy[i] * std::pow(scale[i], -beta()) - 2 * beta() * factor_ * x[i] * ratio[i];
  });
}

REGISTER_LAYER(LRN, CPU, LRNLayer);

}  // namespace vibnet
