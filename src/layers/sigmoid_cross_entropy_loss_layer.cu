#include "layers/sigmoid_cross_entropy_loss_layer.h"

#include "math/loops_gpu.h"
#include "math/sigmoid.h"
#include "vibnet/registry.h"

namespace vibnet {

class SigmoidCrossEntropyLossLayerGPU : public SigmoidCrossEntropyLossLayer {
 public:
  using SigmoidCrossEntropyLossLayer::SigmoidCrossEntropyLossLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const Ignored ignored(parameter_.loss_param());
    const LossNormalizer normalizer = this->normalizer(bottom);
    const float* x = bottom[0]->gpu_data();
    const float* targets = bottom[1]->gpu_data();
    float* loss = top[0]->mutable_gpu_data();
    divisor_on_gpu_.reshape({});
    float* divisor = divisor_on_gpu_.mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        context_.ranks, 1, bottom[0]->count(),
        [=] __device__(int, int i) {
          if (ignored.has(targets[i])) return Sums{};
          return Sums{sigmoid_cross_entropy(x[i], targets[i]), 1};
        },
        [=] __device__(int, const Sums& sums) {
          *divisor = normalizer.of(static_cast<int>(sums.second));
          *loss = static_cast<float>(sums.first / *divisor);
        });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const Ignored ignored(parameter_.loss_param());
    const float* x = bottom[0]->gpu_data();
    const float* targets = bottom[1]->gpu_data();
    const float* dloss = top[0]->gpu_diff();
    const float* divisor = divisor_on_gpu_.gpu_data();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      dx[i] = ignored.has(targets[i]) ? 0 : *dloss / *divisor * (sigmoid(x[i]) - targets[i]);
    });
  }

 private:
  /// What the last forward divided the loss by.
  Blob divisor_on_gpu_;
};

REGISTER_LAYER(SigmoidCrossEntropyLoss, GPU, SigmoidCrossEntropyLossLayerGPU);

}  // namespace vibnet
