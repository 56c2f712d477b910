#include "layers/filter_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class FilterLayerGPU : public FilterLayer {
 public:
  using FilterLayer::FilterLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    for (int b = 0; b < filtered_; ++b) {
      const int size = bottom[b]->count(1);
      const float* x = bottom[b]->gpu_data();
      float* y = top[b]->mutable_gpu_data();
      for (std::size_t k = 0; k < passed_.size(); ++k)
        copy_gpu(size, x + passed_[k] * size, y + k * size);
    }
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    for (int b = 0; b < filtered_; ++b) {
      if (!propagate_down[b]) continue;
      const int size = bottom[b]->count(1);
      const float* dy = top[b]->gpu_diff();
      float* dx = bottom[b]->mutable_gpu_diff();
      zero_gpu(bottom[b]->count(), dx);
      for (std::size_t k = 0; k < passed_.size(); ++k)
        copy_gpu(size, dy + k * size, dx + passed_[k] * size);
    }
  }
};

REGISTER_LAYER(Filter, GPU, FilterLayerGPU);

}  // namespace vibnet
