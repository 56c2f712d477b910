#include "layers/spp_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class SPPLayerGPU : public SPPLayer {
 public:
  using SPPLayer::SPPLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    float* y = top[0]->mutable_gpu_data();
    const int whole = top[0]->count(1);
    int offset = 0;
    for (Level& level : levels_) {
      level.bottom.share_data(*bottom[0]);
      level.pooling->forward({&level.bottom}, {&level.top});
      const int size = level.top.count(1);
      const float* x = level.top.gpu_data();
      for_each_gpu(level.top.count(),
                   [=] __device__(int i) { y[i / size * whole + offset + i % size] = x[i]; });
      offset += size;
    }
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* dy = top[0]->gpu_diff();
    float* sum = bottom[0]->mutable_gpu_diff();
    zero_gpu(bottom[0]->count(), sum);
    const int whole = top[0]->count(1);
    int offset = 0;
    for (Level& level : levels_) {
      const int size = level.top.count(1);
      float* dlevel = level.top.mutable_gpu_diff();
      for_each_gpu(level.top.count(),
                   [=] __device__(int i) { dlevel[i] = dy[i / size * whole + offset + i % size]; });
      offset += size;
      level.pooling->backward({&level.top}, {true}, {&level.bottom});
      const float* dx = level.bottom.gpu_diff();
      for_each_gpu(bottom[0]->count(), [=] __device__(int i) { sum[i] += dx[i]; });
    }
  }
};

REGISTER_LAYER(SPP, GPU, SPPLayerGPU);

}  // namespace vibnet
