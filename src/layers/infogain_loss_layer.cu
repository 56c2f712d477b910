#include "layers/infogain_loss_layer.h"

#include <algorithm>

#include "layers/labelled_layer_gpu.h"
#include "math/loops_gpu.h"
#include "math/softmax_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class InfogainLossLayerGPU : public LabelledOnGPU<InfogainLossLayer> {
 public:
  using LabelledOnGPU<InfogainLossLayer>::LabelledOnGPU;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const LabelsGPU labels = this->labels(bottom, parameter_.loss_param());
    const ScoreRows at = score_rows();
    const LossNormalizer normalizer = this->normalizer();
    const float* weights = this->weights(bottom).gpu_data();
    float* probability = probabilities_.mutable_gpu_data();
    softmax_gpu(bottom[0]->gpu_data(), outer_, classes_, inner_, probability);
    row_losses_.reshape({rows()});
    row_weights_.reshape({rows()});
    divisor_.reshape({});
    float* row_losses = row_losses_.mutable_gpu_data();
    float* row_weights = row_weights_.mutable_gpu_data();
    sum_rows_gpu(
        rows(), classes_,
        [=] __device__(int row, int c) {
          const int label = labels.of(row);
          if (label < 0) return Sums{};
          const float weight = weights[label * at.classes + c];
          return Sums{-weight * logf(off_zero(probability[at.index(row, c)])), weight};
        },
        [=] __device__(int row, const Sums& sums) {
          row_losses[row] = static_cast<float>(sums.first);
          row_weights[row] = static_cast<float>(sums.second);
        });
    float* loss = top[0]->mutable_gpu_data();
    float* divisor = divisor_.mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, rows(),
        [=] __device__(int, int row) {
          return Sums{row_losses[row], labels.of(row) < 0 ? 0.0 : 1.0};
        },
        [=] __device__(int, const Sums& sums) {
          *divisor = normalizer.of(static_cast<int>(sums.second));
          *loss = static_cast<float>(sums.first / *divisor);
        });
    if (top.size() > 1) top[1]->share_data(probabilities_);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const LabelsGPU labels = this->labels(bottom, parameter_.loss_param());
    const ScoreRows at = score_rows();
    const float* weights = this->weights(bottom).gpu_data();
    const float* row_weights = row_weights_.gpu_data();
    const float* probability = probabilities_.gpu_data();
    const float* dloss = top[0]->gpu_diff();
    const float* divisor = divisor_.gpu_data();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const int row = at.row_of(i);
      const int label = labels.of(row);
      dx[i] = label < 0 ? 0
                        : *dloss / *divisor *
                              (probability[i] * row_weights[row] -
                               weights[label * at.classes + at.class_of(i)]);
    });
  }

 private:
  /// Of each row: its loss, and the sum of its label's weights.
  Blob row_losses_;
  Blob row_weights_;
  /// What the last forward divided the loss by.
  Blob divisor_;
};

REGISTER_LAYER(InfogainLoss, GPU, InfogainLossLayerGPU);

}  // namespace vibnet
