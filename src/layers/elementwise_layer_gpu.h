#pragma once

// For .cu files only.

#include <vector>

#include "layers/elementwise_layer.h"
#include "math/loops_gpu.h"

namespace vibnet {

/// An ElementwiseLayer on the GPU, by the same formula.
template <typename Formula>
class ElementwiseLayerGPU : public ElementwiseLayer<Formula> {
 public:
  using ElementwiseLayer<Formula>::ElementwiseLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    this->keep_x(bottom, top);
    const Formula formula = this->formula();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) { y[i] = formula.value(x[i]); });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const Formula formula = this->formula();
    const float* x = this->kept_x(bottom, top).gpu_data();
    const float* y = top[0]->gpu_data();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { dx[i] = dy[i] * formula.slope(x[i], y[i]); });
  }
};

}  // namespace vibnet
