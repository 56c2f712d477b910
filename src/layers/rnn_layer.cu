#include "layers/rnn_layer.h"

#include <cmath>

#include "layers/recurrent_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class RNNLayerGPU : public RecurrentOnGPU<RNNLayer, RNNCell> {
 public:
  using RecurrentOnGPU::RecurrentOnGPU;

  void write_output_on_gpu(const float* h, Blob* top) override {
    const int units = this->units();
    const float* bias = blobs_[output_weights_ + 1]->gpu_data();
    float* o = top->mutable_gpu_data();
    for_each_gpu(top->count(), [=] __device__(int i) { o[i] = bias[i % units]; });
    gemm_gpu(Transpose::NO, Transpose::YES, rows(), units, units, 1, h,
             blobs_[output_weights_]->gpu_data(), 1, o);
    for_each_gpu(top->count(), [=] __device__(int i) { o[i] = tanhf(o[i]); });
  }

  void read_output_gradient_on_gpu(const float* h, const Blob& top, float* dh) override {
    const int units = this->units();
    sum_diff_.reshape_like(top);
    float* dsum = sum_diff_.mutable_gpu_data();
    const float* o = top.gpu_data();
    const float* diff = top.gpu_diff();
    for_each_gpu(top.count(), [=] __device__(int i) { dsum[i] = diff[i] * (1 - o[i] * o[i]); });
    gemm_gpu(Transpose::NO, Transpose::NO, rows(), units, units, 1, dsum,
             blobs_[output_weights_]->gpu_data(), 0, dh);
    add_products(output_weights_, rows(), units, units, dsum, h);
    add_column_sums(output_weights_ + 1, rows(), units, dsum);
  }
};

REGISTER_LAYER(RNN, GPU, RNNLayerGPU);

}  // namespace vibnet
