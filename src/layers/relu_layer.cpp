#include "layers/relu_layer.h"

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void ReLULayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  const float slope = negative_slope();
  parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd  // each value alone, even in place
    for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] * (x[i] > 0 ? 1 : slope);
  });
}

void ReLULayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  const float slope = negative_slope();
  parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * (x[i] > 0 ? 1 : slope);
  });
}

REGISTER_LAYER(ReLU, CPU, ReLULayer);

}  // namespace vibnet
