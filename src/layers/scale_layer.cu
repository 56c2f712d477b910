#include "layers/scale_layer.h"

#include "layers/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ScaleLayerGPU : public ScaleLayer {
 public:
  using ScaleLayer::ScaleLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    keep_x(bottom, top);
    const ChannelLayout at = layout();
    const float* factors = scale(bottom).gpu_data();
    const float* shifts = has_bias() ? bias().gpu_data() : nullptr;
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const int c = at.channel_of(i);
      y[i] = x[i] * factors[c] + (shifts == nullptr ? 0 : shifts[c]);
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const ChannelLayout at = layout();
    const float* dy = top[0]->gpu_diff();
    add_parameter_gradients(at, kept_x(bottom, top).gpu_data(), dy, propagate_down, bottom);
    if (!propagate_down[0]) return;
    const float* factors = scale(bottom).gpu_data();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { dx[i] = dy[i] * factors[at.channel_of(i)]; });
  }

  /// Also writes the gradient of a scale that is a bottom.
  void add_parameter_gradients(const ChannelLayout& at, const float* x, const float* dy,
                               const std::vector<bool>& propagate_down, const Blobs& bottom) {
    const bool is_bottom = scale_is_bottom_;
    const bool wants_scale = is_bottom ? propagate_down[1] : learns(0);
    const bool wants_bias = has_bias() && learns(static_cast<int>(blobs_.size()) - 1);
    if (!wants_scale && !wants_bias) return;
    float* dscale = wants_scale ? scale(bottom).mutable_gpu_diff() : nullptr;
    float* dbias = wants_bias ? bias().mutable_gpu_diff() : nullptr;
    sum_rows_gpu(
        at.channels, at.values_of_channel(),
        [=] __device__(int c, int i) {
          const int place = at.index_of(c, i);
          return Sums{x[place] * dy[place], dy[place]};
        },
        [=] __device__(int c, const Sums& sums) {
          const float of_scale = static_cast<float>(sums.first);
          if (dscale != nullptr) dscale[c] = is_bottom ? of_scale : dscale[c] + of_scale;
          if (dbias != nullptr) dbias[c] += static_cast<float>(sums.second);
        });
  }
};

REGISTER_LAYER(Scale, GPU, ScaleLayerGPU);

}  // namespace vibnet
