#pragma once

// For .cu files only.

#include <vector>

#include "layers/channel_pass_gpu.h"
#include "layers/elementwise_layer.h"
#include "math/loops_gpu.h"

namespace vibnet {

/// An ElementwiseLayer on the GPU, by the same formula. Where it joins no pass it is a kernel of
/// its own, which knows the one formula.
template <typename Formula>
class ElementwiseLayerGPU : public ElementwiseLayer<Formula>, public GpuMember {
 public:
  using ElementwiseLayer<Formula>::ElementwiseLayer;

  GpuMember* gpu_member() override { return this; }
  PassMember forward_member(const Blobs& /*bottom*/) override {
    return FormulaMember{this->formula()};
  }
  PassMember backward_member(const std::vector<bool>& /*propagate_down*/,
                             const Blobs& bottom) override {
    return forward_member(bottom);
  }

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
