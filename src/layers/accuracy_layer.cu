#include "layers/accuracy_layer.h"

#include "layers/labelled_layer_gpu.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

__device__ bool is_among_largest(const float* scores, ScoreRows at, int row, int label, int top_k) {
  const float own = scores[at.index(row, label)];
  int not_below = 0;
  for (int c = 0; c < at.classes; ++c)
    if (c != label && scores[at.index(row, c)] >= own) ++not_below;
  return not_below < top_k;
}

__device__ float share_right(const Sums& sums) {
  return sums.second == 0 ? 0 : static_cast<float>(sums.first) / static_cast<float>(sums.second);
}

}  // namespace

class AccuracyLayerGPU : public LabelledOnGPU<AccuracyLayer> {
 public:
  using LabelledOnGPU<AccuracyLayer>::LabelledOnGPU;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const LabelsGPU labels = this->labels(bottom, parameter_.accuracy_param());
    const ScoreRows at = score_rows();
    const int top_k = top_k_;
    const float* scores = bottom[0]->gpu_data();
    float* all = top[0]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, rows(),
        [=] __device__(int, int row) {
          const int label = labels.of(row);
          if (label < 0) return Sums{};
          return Sums{is_among_largest(scores, at, row, label, top_k) ? 1.0 : 0.0, 1};
        },
        [=] __device__(int, const Sums& sums) { *all = share_right(sums); });
    if (top.size() == 1) return;
    float* of_classes = top[1]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, classes_, rows(),
        [=] __device__(int c, int row) {
          if (labels.of(row) != c) return Sums{};
          return Sums{is_among_largest(scores, at, row, c, top_k) ? 1.0 : 0.0, 1};
        },
        [=] __device__(int c, const Sums& sums) { of_classes[c] = share_right(sums); });
  }
};

REGISTER_LAYER(Accuracy, GPU, AccuracyLayerGPU);

}  // namespace vibnet
