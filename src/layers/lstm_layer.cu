#include "layers/lstm_layer.h"

#include "layers/recurrent_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class LSTMLayerGPU : public RecurrentOnGPU<LSTMLayer, LSTMCell> {
 public:
  using RecurrentOnGPU::RecurrentOnGPU;

  void write_output_on_gpu(const float* h, Blob* top) override {
    copy_gpu(top->count(), h, top->mutable_gpu_data());
  }
  void read_output_gradient_on_gpu(const float* /*h*/, const Blob& top, float* dh) override {
    copy_gpu(top.count(), top.gpu_diff(), dh);
  }
};

REGISTER_LAYER(LSTM, GPU, LSTMLayerGPU);

}  // namespace vibnet
