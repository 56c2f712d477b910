#include "layers/threshold_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ThresholdLayerGPU : public ThresholdLayer {
 public:
  using ThresholdLayer::ThresholdLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float threshold = parameter_.threshold_param().threshold();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { y[i] = x[i] > threshold ? 1.0f : 0.0f; });
  }
};

REGISTER_LAYER(Threshold, GPU, ThresholdLayerGPU);

}  // namespace vibnet
