#include "layers/relu_layer.h"

#include "layers/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ReLULayerGPU : public ReLULayer {
 public:
  using ReLULayer::ReLULayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float slope = negative_slope();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { y[i] = x[i] > 0 ? x[i] : slope * x[i]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float slope = negative_slope();
    const float* x = bottom[0]->gpu_data();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { dx[i] = x[i] > 0 ? dy[i] : slope * dy[i]; });
  }
};

REGISTER_LAYER(ReLU, GPU, ReLULayerGPU);

}  // namespace vibnet
