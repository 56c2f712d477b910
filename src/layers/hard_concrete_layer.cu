#include "layers/gate_layer_gpu.h"
#include "layers/hard_concrete_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

struct HardConcreteRule {
  const float* log_alpha;
  float beta, left, width;

  __device__ Random4 draw(RandomKey key, std::uint64_t iteration, std::uint32_t sample,
                          std::uint32_t block) const {
    return uniform4(key, iteration, sample, block);
  }
  __device__ GateDraw of(int unit, float u) const {
    const float x = (logf(u) - log1pf(-u) + log_alpha[unit]) / beta;
    const float s = 0.5f * tanhf(0.5f * x) + 0.5f;
    const float stretched = s * width + left;
    if (stretched <= 0) return {0, 0};
    if (stretched >= 1) return {1, 0};
    return {stretched, width / beta * s * (1 - s)};
  }
};

/// A thread for each channel: the sum over the samples, and the penalty's gradient.
__global__ void add_hard_concrete_gradients(int samples, int channels, double kl_weight,
                                            double shift, const int* numbers,
                                            const float* log_alpha, const float* slopes,
                                            const float* sums, float* d_log_alpha) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= channels || numbers[c] < 0) return;
  float gradient = 0;
  for (int n = 0; n < samples; ++n) gradient += sums[n * channels + c] * slopes[n * channels + c];
  const double open = 1 / (1 + exp(shift - log_alpha[c]));
  d_log_alpha[c] += float(gradient + kl_weight * open * (1 - open));
}

}  // namespace

class HardConcreteLayerGPU : public GateOnGPU<HardConcreteLayer> {
 public:
  using GateOnGPU::GateOnGPU;

 protected:
  void draw_factors_gpu() override {
    const float left = gate().left();
    GateOnGPU::draw_factors_gpu(
        HardConcreteRule{blobs_[0]->gpu_data(), gate().beta(), left, gate().right() - left});
  }
  void add_gradients_gpu() override {
    if (!learns(0)) return;
    add_hard_concrete_gradients<<<blocks_for(channels_), kThreadsPerBlock>>>(
        samples_, channels_, gradient_gamma() * kl_scale_, open_shift(), numbers_gpu(),
        blobs_[0]->gpu_data(), slopes_.gpu_data(), sums_.gpu_data(), diff_gpu(0));
    check_launch("add_hard_concrete_gradients");
  }
};

REGISTER_LAYER(HardConcrete, GPU, HardConcreteLayerGPU);

}  // namespace vibnet
