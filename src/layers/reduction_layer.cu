#include "layers/reduction_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ReductionLayerGPU : public ReductionLayer {
 public:
  using ReductionLayer::ReductionLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const ReductionParameter::ReductionOp operation = parameter().operation();
    const int size = size_;
    const float coefficient = coefficient_;
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    sum_rows_of_ranks_gpu(
        sums_batch_ ? context_.ranks : &one_rank(), rows_, size,
        [=] __device__(int row, int i) {
          return Sums{reduced(operation, x[row * size + i]), 0};
        },
        [=] __device__(int row, const Sums& sums) {
          y[row] = static_cast<float>(coefficient * sums.first);
        });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const ReductionParameter::ReductionOp operation = parameter().operation();
    const int size = size_;
    const float coefficient = coefficient_;
    const float* x = bottom[0]->gpu_data();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      dx[i] = coefficient * dy[i / size] * slope_of_reduced(operation, x[i]);
    });
  }
};

REGISTER_LAYER(Reduction, GPU, ReductionLayerGPU);

}  // namespace vibnet
