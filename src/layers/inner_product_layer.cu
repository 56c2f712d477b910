#include "layers/inner_product_layer.h"

#include "math/gemm_gpu.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class InnerProductLayerGPU : public InnerProductLayer {
 public:
  using InnerProductLayer::InnerProductLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = rows_ * outputs_;
    if (count == 0) return;
    float* y = top[0]->mutable_gpu_data();
    if (has_bias()) {
      const int outputs = outputs_;
      const float* bias = blobs_[1]->gpu_data();
      for_each_gpu(count, [=] __device__(int i) { y[i] = bias[i % outputs]; });
    }
    gemm_gpu(Transpose::NO, is_transposed() ? Transpose::NO : Transpose::YES, rows_, outputs_,
             inputs_, 1, bottom[0]->gpu_data(), blobs_[0]->gpu_data(), has_bias() ? 1 : 0, y);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* dy = top[0]->gpu_diff();
    const float* x = bottom[0]->gpu_data();
    if (learns(0)) {
      float* dw = blobs_[0]->mutable_gpu_diff();
      if (is_transposed())
        gemm_gpu(Transpose::YES, Transpose::NO, inputs_, outputs_, rows_, 1, x, dy, 1, dw);
      else
        gemm_gpu(Transpose::YES, Transpose::NO, outputs_, inputs_, rows_, 1, dy, x, 1, dw);
    }
    if (has_bias() && learns(1)) {
      const int outputs = outputs_;
      float* db = blobs_[1]->mutable_gpu_diff();
      sum_rows_gpu(
          outputs, rows_,
          [=] __device__(int o, int row) {
            return Sums{dy[row * outputs + o], 0};
          },
          [=] __device__(int o, const Sums& sums) { db[o] += static_cast<float>(sums.first); });
    }
    if (propagate_down[0])
      gemm_gpu(Transpose::NO, is_transposed() ? Transpose::YES : Transpose::NO, rows_, inputs_,
               outputs_, 1, dy, blobs_[0]->gpu_data(), 0, bottom[0]->mutable_gpu_diff());
  }
};

REGISTER_LAYER(InnerProduct, GPU, InnerProductLayerGPU);

}  // namespace vibnet
