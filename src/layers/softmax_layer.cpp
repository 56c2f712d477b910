#include "layers/softmax_layer.h"

#include <cstdint>

#include "math/parallel.h"
#include "math/softmax.h"
#include "vibnet/registry.h"

namespace vibnet {

void SoftmaxLayer::forward(const Blobs& bottom, const Blobs& top) {
  softmax(bottom[0]->cpu_data(), outer_, classes_, inner_, top[0]->mutable_cpu_data());
}

void SoftmaxLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* y = top[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  parallel_for(outer_ * inner_, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t first = row / inner_ * classes_ * inner_ + row % inner_;
      const std::int64_t last = first + classes_ * inner_;
      float dot = 0;
      for (std::int64_t i = first; i < last; i += inner_) dot += dy[i] * y[i];
      for (std::int64_t i = first; i < last; i += inner_) dx[i] = (dy[i] - dot) * y[i];
    }
  });
}

REGISTER_LAYER(Softmax, CPU, SoftmaxLayer);

}  // namespace vibnet
