#include "layers/contrastive_loss_layer.h"

#include <cmath>

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ContrastiveLossLayerGPU : public ContrastiveLossLayer {
 public:
  using ContrastiveLossLayer::ContrastiveLossLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int size = size_;
    const ContrastiveRule rule = this->rule();
    const float* a = bottom[0]->gpu_data();
    const float* b = bottom[1]->gpu_data();
    const float* similar = bottom[2]->gpu_data();
    for (Blob* blob : {&losses_, &pulls_}) blob->reshape({pairs_});
    float* losses = losses_.mutable_gpu_data();
    float* pulls = pulls_.mutable_gpu_data();
    sum_rows_gpu(
        pairs_, size,
        [=] __device__(int pair, int i) {
          const double difference = a[pair * size + i] - b[pair * size + i];
          return Sums{difference * difference, 0};
        },
        [=] __device__(int pair, const Sums& sums) {
          losses[pair] = static_cast<float>(rule.loss(truncf(similar[pair]) != 0, sums.first));
          pulls[pair] = rule.pull(truncf(similar[pair]) != 0, sums.first);
        });
    const int divisor = 2 * batch();
    float* loss = top[0]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, pairs_,
        [=] __device__(int, int pair) {
          return Sums{losses[pair], 0};
        },
        [=] __device__(int, const Sums& sums) {
          *loss = static_cast<float>(sums.first / divisor);
        });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int size = size_;
    const float* a = bottom[0]->gpu_data();
    const float* b = bottom[1]->gpu_data();
    const float* pulls = pulls_.gpu_data();
    const float* dloss = top[0]->gpu_diff();
    for (int side = 0; side < 2; ++side) {
      if (!propagate_down[side]) continue;
      const float factor = (side == 0 ? 1.0f : -1.0f) / static_cast<float>(batch());
      float* dx = bottom[side]->mutable_gpu_diff();
      for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
        dx[i] = factor * *dloss * pulls[i / size] * (a[i] - b[i]);
      });
    }
  }

 private:
  /// Of each pair: its loss, and pull().
  Blob losses_;
  Blob pulls_;
};

REGISTER_LAYER(ContrastiveLoss, GPU, ContrastiveLossLayerGPU);

}  // namespace vibnet
