#include "layers/euclidean_loss_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void EuclideanLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->axes() == 0 || bottom[1]->axes() == 0 ||
      bottom[0]->shape(0) != bottom[1]->shape(0) || bottom[0]->count() != bottom[1]->count())
    fail("needs two bottoms of one size, and they are ", to_string(bottom[0]->shape()), " and ",
         to_string(bottom[1]->shape()));
  top[0]->reshape({});
}

void EuclideanLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* a = bottom[0]->cpu_data();
  const float* b = bottom[1]->cpu_data();
  double sum = parallel_sum(bottom[0]->count(), [=](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i) part += (a[i] - b[i]) * (a[i] - b[i]);
    return part;
  });
  context_.ranks->sum(&sum, 1);
  top[0]->mutable_cpu_data()[0] = static_cast<float>(sum / 2 / batch(bottom));
}

void EuclideanLossLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                  const Blobs& bottom) {
  const float* a = bottom[0]->cpu_data();
  const float* b = bottom[1]->cpu_data();
  for (int side = 0; side < 2; ++side) {
    if (!propagate_down[side]) continue;
    const float sign = side == 0 ? 1.0f : -1.0f;
    const float scale = sign * top[0]->cpu_diff()[0] / batch(bottom);
    float* dx = bottom[side]->mutable_cpu_diff();
    parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] = scale * (a[i] - b[i]);
    });
  }
}

float EuclideanLossLayer::batch(const Blobs& bottom) const {
  return static_cast<float>(std::max(1, bottom[0]->shape(0) * context_.ranks->size()));
}

REGISTER_LAYER(EuclideanLoss, CPU, EuclideanLossLayer);

}  // namespace vibnet
