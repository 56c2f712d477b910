#include "layers/axpy_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class AxpyLayerGPU : public AxpyLayer {
 public:
  using AxpyLayer::AxpyLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int inner = inner_;
    const float* a = bottom[0]->gpu_data();
    const float* x = bottom[1]->gpu_data();
    const float* y = bottom[2]->gpu_data();
    float* sum = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { sum[i] = a[i / inner] * x[i] + y[i]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int inner = inner_;
    const float* dsum = top[0]->gpu_diff();
    if (propagate_down[0]) {
      const float* x = bottom[1]->gpu_data();
      float* da = bottom[0]->mutable_gpu_diff();
      sum_rows_gpu(
          bottom[0]->count(), inner,
          [=] __device__(int plane, int i) {
            const int place = plane * inner + i;
            return Sums{dsum[place] * x[place], 0};
          },
          [=] __device__(int plane, const Sums& sums) {
            da[plane] = static_cast<float>(sums.first);
          });
    }
    if (propagate_down[1]) {
      const float* a = bottom[0]->gpu_data();
      float* dx = bottom[1]->mutable_gpu_diff();
      for_each_gpu(top[0]->count(), [=] __device__(int i) { dx[i] = dsum[i] * a[i / inner]; });
    }
    if (propagate_down[2]) copy_gpu(top[0]->count(), dsum, bottom[2]->mutable_gpu_diff());
  }
};

REGISTER_LAYER(Axpy, GPU, AxpyLayerGPU);

}  // namespace vibnet
