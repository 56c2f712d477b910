#include "layers/parameter_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ParameterLayerGPU : public ParameterLayer {
 public:
  using ParameterLayer::ParameterLayer;

  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {
    if (!learns(0)) return;
    const float* dy = top[0]->gpu_diff();
    float* gradient = blobs_[0]->mutable_gpu_diff();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { gradient[i] += dy[i]; });
  }
};

REGISTER_LAYER(Parameter, GPU, ParameterLayerGPU);

}  // namespace vibnet
