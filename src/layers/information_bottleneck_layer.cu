#include "core/cuda.h"
#include "layers/information_bottleneck_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// A thread for each sample and block of four channels: draws eps, and from it the multipliers.
__global__ void draw_multipliers(RandomKey key, std::uint64_t iteration, std::uint32_t first_sample,
                                 int samples, int channels, const float* mu,
                                 const float* log_sigma2, float* noise, float* multiplier) {
  const int blocks = (channels + 3) / 4;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= samples * blocks) return;
  const int n = i / blocks;
  const int block = i % blocks;
  const Random4 drawn = normal4(key, iteration, first_sample + n, block);
  for (int j = 0; j < 4 && block * 4 + j < channels; ++j) {
    const int c = block * 4 + j;
    noise[n * channels + c] = drawn.values[j];
    multiplier[n * channels + c] = mu[c] + expf(0.5f * log_sigma2[c]) * drawn.values[j];
  }
}

__global__ void mask_multipliers(int count, int channels, float threshold, const float* mu,
                                 const float* log_sigma2, float* multiplier) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int c = i % channels;
  const bool kept = mu[c] != 0 && log_sigma2[c] - 2 * logf(fabsf(mu[c])) < threshold;
  multiplier[i] = kept ? mu[c] : 0;
}

__global__ void multiply(int count, int spatial, const float* x, const float* multiplier,
                         float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) y[i] = x[i] * multiplier[i / spatial];
}

/// A warp for each sample and channel: sum_s dy x, the same way in every run.
__global__ void sum_products(int rows, int spatial, const float* x, const float* dy, float* sums) {
  const int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (row >= rows) return;
  float sum = 0;
  for (int s = lane; s < spatial; s += 32) sum += x[row * spatial + s] * dy[row * spatial + s];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (lane == 0) sums[row] = sum;
}

/// A thread for each channel: the sum over the samples, and the KL term's gradient.
__global__ void add_gradients(int samples, int channels, double kl_weight, const float* mu,
                              const float* log_sigma2, const float* noise, const float* sums,
                              float* d_mu, float* d_log_sigma2) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  float by_mu = 0;
  float by_noise = 0;
  for (int n = 0; n < samples; ++n) {
    by_mu += sums[n * channels + c];
    by_noise += sums[n * channels + c] * noise[n * channels + c];
  }
  const double mu2 = double(mu[c]) * mu[c];
  const double weight = kl_weight / fmax(mu2 + exp(double(log_sigma2[c])), 1e-60);
  if (d_mu != nullptr) d_mu[c] += float(by_mu + weight * mu[c]);
  if (d_log_sigma2 != nullptr)
    d_log_sigma2[c] += float(0.5 * exp(0.5 * log_sigma2[c]) * by_noise - 0.5 * weight * mu2);
}

}  // namespace

class InformationBottleneckLayerGPU : public InformationBottleneckLayer {
 public:
  using InformationBottleneckLayer::InformationBottleneckLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count();
    if (count == 0) return;
    find_multipliers_gpu();
    multiply<<<blocks_for(count), kThreadsPerBlock>>>(
        count, spatial_, bottom[0]->gpu_data(), multiplier_.gpu_data(), top[0]->mutable_gpu_data());
    check_launch("multiply");
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!is_training()) return InformationBottleneckLayer::backward(top, propagate_down, bottom);
    const int count = bottom[0]->count();
    if (count == 0) return;
    const int rows = samples_ * channels_;
    sum_products<<<blocks_for(32LL * rows), kThreadsPerBlock>>>(
        rows, spatial_, bottom[0]->gpu_data(), top[0]->gpu_diff(), sums_.mutable_gpu_data());
    check_launch("sum_products");
    add_gradients<<<blocks_for(channels_), kThreadsPerBlock>>>(
        samples_, channels_, gamma() * kl_scale_, blobs_[0]->gpu_data(), blobs_[1]->gpu_data(),
        noise_.gpu_data(), sums_.gpu_data(), learns(0) ? blobs_[0]->mutable_gpu_diff() : nullptr,
        learns(1) ? blobs_[1]->mutable_gpu_diff() : nullptr);
    check_launch("add_gradients");
    if (!propagate_down[0]) return;
    multiply<<<blocks_for(count), kThreadsPerBlock>>>(
        count, spatial_, top[0]->gpu_diff(), multiplier_.gpu_data(), bottom[0]->mutable_gpu_diff());
    check_launch("multiply");
  }

 private:
  void find_multipliers_gpu() {
    const float* mu = blobs_[0]->gpu_data();
    const float* log_sigma2 = blobs_[1]->gpu_data();
    if (!is_training()) {
      const int count = samples_ * channels_;
      mask_multipliers<<<blocks_for(count), kThreadsPerBlock>>>(
          count, channels_, parameter_.information_bottleneck_param().threshold(), mu, log_sigma2,
          multiplier_.mutable_gpu_data());
      return check_launch("mask_multipliers");
    }
    draw_multipliers<<<blocks_for(1LL * samples_ * ((channels_ + 3) / 4)), kThreadsPerBlock>>>(
        random_key(), context_.iteration, static_cast<std::uint32_t>(context_.pass) * samples_,
        samples_, channels_, mu, log_sigma2, noise_.mutable_gpu_data(),
        multiplier_.mutable_gpu_data());
    check_launch("draw_multipliers");
  }
};

REGISTER_LAYER(InformationBottleneck, GPU, InformationBottleneckLayerGPU);

}  // namespace vibnet
