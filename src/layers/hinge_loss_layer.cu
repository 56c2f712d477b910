#include "layers/hinge_loss_layer.h"

#include <algorithm>

#include "layers/labelled_layer_gpu.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class HingeLossLayerGPU : public LabelledOnGPU<HingeLossLayer> {
 public:
  using LabelledOnGPU<HingeLossLayer>::LabelledOnGPU;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const LabelsGPU labels = this->labels(bottom, LossParameter());
    const int classes = classes_;
    const bool squared = is_squared();
    const int divisor = batch();
    const float* x = bottom[0]->gpu_data();
    float* loss = top[0]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, bottom[0]->count(),
        [=] __device__(int, int i) {
          const float sign = labels.of(i / classes) == i % classes ? -1 : 1;
          const double excess = std::max(0.0f, 1 + sign * x[i]);
          return Sums{squared ? excess * excess : excess, 0};
        },
        [=] __device__(int, const Sums& sums) {
          *loss = static_cast<float>(sums.first / divisor);
        });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const LabelsGPU labels = this->labels(bottom, LossParameter());
    const int classes = classes_;
    const bool squared = is_squared();
    const float divisor = static_cast<float>(batch());
    const float* x = bottom[0]->gpu_data();
    const float* dloss = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const float sign = labels.of(i / classes) == i % classes ? -1 : 1;
      const float excess = std::max(0.0f, 1 + sign * x[i]);
      const float slope = squared ? 2 * excess : excess > 0 ? 1.0f : 0.0f;
      dx[i] = *dloss / divisor * sign * slope;
    });
  }
};

REGISTER_LAYER(HingeLoss, GPU, HingeLossLayerGPU);

}  // namespace vibnet
