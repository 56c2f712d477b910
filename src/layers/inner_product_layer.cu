#include "core/cuda.h"
#include "layers/inner_product_layer.h"
#include "math/gemm_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

__global__ void copy_bias(int count, int outputs, const float* bias, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) y[i] = bias[i % outputs];
}

/// A thread an output sums its column in the order of the rows, so that two runs agree.
__global__ void add_bias_gradient(int rows, int outputs, const float* dy, float* db) {
  const int output = blockIdx.x * blockDim.x + threadIdx.x;
  if (output >= outputs) return;
  float sum = 0;
  for (int row = 0; row < rows; ++row) sum += dy[row * outputs + output];
  db[output] += sum;
}

}  // namespace

class InnerProductLayerGPU : public InnerProductLayer {
 public:
  using InnerProductLayer::InnerProductLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = rows_ * outputs_;
    if (count == 0) return;
    float* y = top[0]->mutable_gpu_data();
    if (has_bias()) {
      copy_bias<<<blocks_for(count), kThreadsPerBlock>>>(count, outputs_, blobs_[1]->gpu_data(), y);
      check_launch("copy_bias");
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
      add_bias_gradient<<<blocks_for(outputs_), kThreadsPerBlock>>>(rows_, outputs_, dy,
                                                                    blobs_[1]->mutable_gpu_diff());
      check_launch("add_bias_gradient");
    }
    if (propagate_down[0])
      gemm_gpu(Transpose::NO, is_transposed() ? Transpose::YES : Transpose::NO, rows_, inputs_,
               outputs_, 1, dy, blobs_[0]->gpu_data(), 0, bottom[0]->mutable_gpu_diff());
  }
};

REGISTER_LAYER(InnerProduct, GPU, InnerProductLayerGPU);

}  // namespace vibnet
