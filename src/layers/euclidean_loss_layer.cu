#include "layers/euclidean_loss_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class EuclideanLossLayerGPU : public EuclideanLossLayer {
 public:
  using EuclideanLossLayer::EuclideanLossLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float divisor = 2 * batch(bottom);
    const float* a = bottom[0]->gpu_data();
    const float* b = bottom[1]->gpu_data();
    float* loss = top[0]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, bottom[0]->count(),
        [=] __device__(int, int i) {
          return Sums{(a[i] - b[i]) * (a[i] - b[i]), 0};
        },
        [=] __device__(int, const Sums& sums) {
          *loss = static_cast<float>(sums.first / divisor);
        });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* a = bottom[0]->gpu_data();
    const float* b = bottom[1]->gpu_data();
    const float* dloss = top[0]->gpu_diff();
    for (int side = 0; side < 2; ++side) {
      if (!propagate_down[side]) continue;
      const float factor = (side == 0 ? 1.0f : -1.0f) / batch(bottom);
      float* dx = bottom[side]->mutable_gpu_diff();
      for_each_gpu(bottom[0]->count(),
                   [=] __device__(int i) { dx[i] = factor * *dloss * (a[i] - b[i]); });
    }
  }
};

REGISTER_LAYER(EuclideanLoss, GPU, EuclideanLossLayerGPU);

}  // namespace vibnet
