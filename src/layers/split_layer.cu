#include "layers/split_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class SplitLayerGPU : public SplitLayer {
 public:
  using SplitLayer::SplitLayer;

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    float* sum = bottom[0]->mutable_gpu_diff();
    if (top.size() == 1) return copy_gpu(bottom[0]->count(), top[0]->gpu_diff(), sum);
    for (std::size_t reader = 1; reader < top.size(); ++reader) {
      const float* so_far = reader == 1 ? top[0]->gpu_diff() : sum;
      const float* diff = top[reader]->gpu_diff();
      for_each_gpu(bottom[0]->count(), [=] __device__(int i) { sum[i] = so_far[i] + diff[i]; });
    }
  }
};

REGISTER_LAYER(Split, GPU, SplitLayerGPU);

}  // namespace vibnet
