#include "layers/softmax_layer.h"

#include "math/softmax_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class SoftmaxLayerGPU : public SoftmaxLayer {
 public:
  using SoftmaxLayer::SoftmaxLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    softmax_gpu(bottom[0]->gpu_data(), outer_, classes_, inner_, top[0]->mutable_gpu_data());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    softmax_gradient_gpu(top[0]->gpu_data(), top[0]->gpu_diff(), outer_, classes_, inner_,
                         bottom[0]->mutable_gpu_diff());
  }
};

REGISTER_LAYER(Softmax, GPU, SoftmaxLayerGPU);

}  // namespace vibnet
