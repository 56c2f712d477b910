#include "core/cuda.h"
#include "layers/relu_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

__global__ void relu_forward(int count, const float* x, float slope, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

__global__ void relu_backward(int count, const float* x, const float* dy, float slope, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) dx[i] = x[i] > 0 ? dy[i] : slope * dy[i];
}

}  // namespace

class ReLULayerGPU : public ReLULayer {
 public:
  using ReLULayer::ReLULayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count();
    if (count == 0) return;
    relu_forward<<<blocks_for(count), kThreadsPerBlock>>>(
        count, bottom[0]->gpu_data(), negative_slope(), top[0]->mutable_gpu_data());
    check_launch("relu_forward");
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int count = bottom[0]->count();
    if (!propagate_down[0] || count == 0) return;
    relu_backward<<<blocks_for(count), kThreadsPerBlock>>>(count, bottom[0]->gpu_data(),
                                                           top[0]->gpu_diff(), negative_slope(),
                                                           bottom[0]->mutable_gpu_diff());
    check_launch("relu_backward");
  }
};

REGISTER_LAYER(ReLU, GPU, ReLULayerGPU);

}  // namespace vibnet
