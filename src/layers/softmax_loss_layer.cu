#include "layers/softmax_loss_layer.h"

#include <algorithm>
#include <cfloat>

#include "layers/labelled_layer_gpu.h"
#include "math/loops_gpu.h"
#include "math/softmax_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class SoftmaxWithLossLayerGPU : public LabelledOnGPU<SoftmaxWithLossLayer> {
 public:
  using LabelledOnGPU<SoftmaxWithLossLayer>::LabelledOnGPU;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const LabelsGPU labels = this->labels(bottom, parameter_.loss_param());
    const ScoreRows at = score_rows();
    const LossNormalizer normalizer = this->normalizer();
    float* probability = probabilities_.mutable_gpu_data();
    softmax_gpu(bottom[0]->gpu_data(), outer_, classes_, inner_, probability);
    divisor_.reshape({});
    float* loss = top[0]->mutable_gpu_data();
    float* divisor = divisor_.mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, rows(),
        [=] __device__(int, int row) {
          const int label = labels.of(row);
          if (label < 0) return Sums{};
          return Sums{-logf(std::max(probability[at.index(row, label)], FLT_MIN)), 1};
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
    const float* probability = probabilities_.gpu_data();
    const float* dloss = top[0]->gpu_diff();
    const float* divisor = divisor_.gpu_data();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const int label = labels.of(at.row_of(i));
      const float target = label == at.class_of(i) ? 1 : 0;
      dx[i] = label < 0 ? 0 : (probability[i] - target) * *dloss / *divisor;
    });
  }

 private:
  /// What the last forward divided the loss by.
  Blob divisor_;
};

REGISTER_LAYER(SoftmaxWithLoss, GPU, SoftmaxWithLossLayerGPU);

}  // namespace vibnet
