#include "layers/multinomial_logistic_loss_layer.h"

#include <algorithm>

#include "layers/labelled_layer_gpu.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class MultinomialLogisticLossLayerGPU : public LabelledOnGPU<MultinomialLogisticLossLayer> {
 public:
  using LabelledOnGPU<MultinomialLogisticLossLayer>::LabelledOnGPU;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const LabelsGPU labels = this->labels(bottom, LossParameter());
    const int classes = classes_;
    const int divisor = batch();
    const float* probability = bottom[0]->gpu_data();
    float* loss = top[0]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, rows(),
        [=] __device__(int, int row) {
          const int label = labels.of(row);
          if (label < 0) return Sums{};
          return Sums{-logf(off_zero(probability[row * classes + label])), 0};
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
    const float divisor = static_cast<float>(batch());
    const float* probability = bottom[0]->gpu_data();
    const float* dloss = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const bool is_label = labels.of(i / classes) == i % classes;
      dx[i] = is_label ? -*dloss / divisor / off_zero(probability[i]) : 0;
    });
  }
};

REGISTER_LAYER(MultinomialLogisticLoss, GPU, MultinomialLogisticLossLayerGPU);

}  // namespace vibnet
