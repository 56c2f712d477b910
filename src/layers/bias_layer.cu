#include "layers/bias_layer.h"

#include "layers/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class BiasLayerGPU : public BiasLayer {
 public:
  using BiasLayer::BiasLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const ChannelLayout at = layout();
    const float* shifts = bias(bottom).gpu_data();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { y[i] = x[i] + shifts[at.channel_of(i)]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const ChannelLayout at = layout();
    const bool is_bottom = bias_is_bottom_;
    const float* dy = top[0]->gpu_diff();
    if (is_bottom ? propagate_down[1] : learns(0)) {
      float* dbias = bias(bottom).mutable_gpu_diff();
      sum_rows_gpu(
          at.channels, at.values_of_channel(),
          [=] __device__(int c, int i) {
            return Sums{dy[at.index_of(c, i)], 0};
          },
          [=] __device__(int c, const Sums& sums) {
            dbias[c] = static_cast<float>(sums.first) + (is_bottom ? 0 : dbias[c]);
          });
    }
    if (propagate_down[0] && bottom[0] != top[0])
      copy_gpu(bottom[0]->count(), dy, bottom[0]->mutable_gpu_diff());
  }
};

REGISTER_LAYER(Bias, GPU, BiasLayerGPU);

}  // namespace vibnet
