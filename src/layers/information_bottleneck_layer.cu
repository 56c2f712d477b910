#include "layers/gate_layer_gpu.h"
#include "layers/information_bottleneck_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

struct BottleneckRule {
  const float* mu;
  const float* log_sigma2;

  __device__ Random4 draw(RandomKey key, std::uint64_t iteration, std::uint32_t sample,
                          std::uint32_t block) const {
    return normal4(key, iteration, sample, block);
  }
  __device__ GateDraw of(int unit, float eps) const {
    return {mu[unit] + expf(0.5f * log_sigma2[unit]) * eps, eps};
  }
};

/// A thread for each channel: the sum over the samples, and the KL term's gradient.
__global__ void add_bottleneck_gradients(int samples, int channels, double kl_weight,
                                         const int* numbers, const float* mu,
                                         const float* log_sigma2, const float* slopes,
                                         const float* sums, float* d_mu, float* d_log_sigma2) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= channels || numbers[c] < 0) return;
  float by_mu = 0;
  float by_sigma = 0;
  for (int n = 0; n < samples; ++n) {
    by_mu += sums[n * channels + c];
    by_sigma += sums[n * channels + c] * slopes[n * channels + c];
  }
  const double mu2 = double(mu[c]) * mu[c];
  const double weight = kl_weight / fmax(mu2 + exp(double(log_sigma2[c])), 1e-60);
  if (d_mu != nullptr) d_mu[c] += float(by_mu + weight * mu[c]);
  if (d_log_sigma2 != nullptr)
    d_log_sigma2[c] += float(0.5 * exp(0.5 * log_sigma2[c]) * by_sigma - 0.5 * weight * mu2);
}

}  // namespace

class InformationBottleneckLayerGPU : public GateOnGPU<InformationBottleneckLayer> {
 public:
  using GateOnGPU::GateOnGPU;

 protected:
  void draw_factors_gpu() override {
    GateOnGPU::draw_factors_gpu(BottleneckRule{blobs_[0]->gpu_data(), blobs_[1]->gpu_data()});
  }
  void add_gradients_gpu() override {
    add_bottleneck_gradients<<<blocks_for(channels_), kThreadsPerBlock>>>(
        samples_, channels_, gradient_gamma() * kl_scale_, numbers_gpu(), blobs_[0]->gpu_data(),
        blobs_[1]->gpu_data(), slopes_.gpu_data(), sums_.gpu_data(), diff_gpu(0), diff_gpu(1));
    check_launch("add_bottleneck_gradients");
  }
};

REGISTER_LAYER(InformationBottleneck, GPU, InformationBottleneckLayerGPU);

}  // namespace vibnet
