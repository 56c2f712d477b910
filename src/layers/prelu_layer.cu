#include "layers/prelu_layer.h"

#include "layers/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class PReLULayerGPU : public PReLULayer {
 public:
  using PReLULayer::PReLULayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    keep_x(bottom, top);
    const ChannelLayout at = layout();
    const bool shared = is_shared();
    const float* slopes = blobs_[0]->gpu_data();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      y[i] = x[i] > 0 ? x[i] : slopes[shared ? 0 : at.channel_of(i)] * x[i];
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* x = kept_x(bottom, top).gpu_data();
    const float* dy = top[0]->gpu_diff();
    if (learns(0)) add_slope_gradients(x, dy);
    if (!propagate_down[0]) return;
    const ChannelLayout at = layout();
    const bool shared = is_shared();
    const float* slopes = blobs_[0]->gpu_data();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      dx[i] = x[i] > 0 ? dy[i] : slopes[shared ? 0 : at.channel_of(i)] * dy[i];
    });
  }

  void add_slope_gradients(const float* x, const float* dy) {
    // A slope that all share is that of one channel of all values.
    const ChannelLayout at =
        is_shared() ? ChannelLayout{1, 1, layout().values_of_channel() * layout().channels}
                    : layout();
    float* dslope = blobs_[0]->mutable_gpu_diff();
    sum_rows_gpu(
        at.channels, at.values_of_channel(),
        [=] __device__(int c, int i) {
          const int place = at.index_of(c, i);
          return Sums{x[place] > 0 ? 0 : dy[place] * x[place], 0};
        },
        [=] __device__(int c, const Sums& sums) { dslope[c] += static_cast<float>(sums.first); });
  }
};

REGISTER_LAYER(PReLU, GPU, PReLULayerGPU);

}  // namespace vibnet
