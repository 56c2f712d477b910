#include <algorithm>

#include "core/block_sum.h"
#include "core/cuda.h"
#include "layers/batch_norm_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// Threads that share a channel.
constexpr int kThreads = 512;

struct RunningStats {
  float* mean;
  float* variance;
  float* factor;
};

/// A block for each channel, and one where there is none: its mean, its variance around it, y, and
/// the running sums of both. `saved`: the means, then the inverse deviations. y may be x.
__global__ void normalize_by_batch(ChannelLayout layout, float eps, float kept,
                                   RunningStats running, const float* x, float* saved, float* y) {
  const int channel = blockIdx.x;
  if (channel == 0 && threadIdx.x == 0) *running.factor = kept * *running.factor + 1;
  if (channel >= layout.channels) return;
  const int count = layout.values_of_channel();
  const int divisor = max(1, count);
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += kThreads) sum += x[layout.index_of(channel, i)];
  const float mean = sum_over_block<kThreads>(sum) / divisor;
  float squares = 0;
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const float distance = x[layout.index_of(channel, i)] - mean;
    squares += distance * distance;
  }
  const float variance = sum_over_block<kThreads>(squares) / divisor;
  const float scale = 1 / sqrtf(variance + eps);
  for (int i = threadIdx.x; i < count; i += kThreads)
    y[layout.index_of(channel, i)] = (x[layout.index_of(channel, i)] - mean) * scale;
  if (threadIdx.x != 0) return;
  saved[channel] = mean;
  saved[layout.channels + channel] = scale;
  const float unbiased = count > 1 ? float(count) / (count - 1) : 1;
  running.mean[channel] = kept * running.mean[channel] + mean;
  running.variance[channel] = kept * running.variance[channel] + unbiased * variance;
}

/// A block for each channel; dx may be dy.
__global__ void batch_gradient(ChannelLayout layout, const float* x, const float* saved,
                               const float* dy, float* dx) {
  const int channel = blockIdx.x;
  const int count = layout.values_of_channel();
  const float mean = saved[channel];
  const float scale = saved[layout.channels + channel];
  float sum = 0;
  float products = 0;
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const int at = layout.index_of(channel, i);
    sum += dy[at];
    products += dy[at] * (x[at] - mean);
  }
  const float of_mean = sum_over_block<kThreads>(sum) / count * scale;
  const float of_variance = sum_over_block<kThreads>(products) / count * scale * scale * scale;
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const int at = layout.index_of(channel, i);
    dx[at] = dy[at] * scale - of_mean - of_variance * (x[at] - mean);
  }
}

__device__ float running_scale(RunningStats running) {
  return *running.factor == 0 ? 0 : 1 / *running.factor;
}

__device__ float running_inverse_deviation(RunningStats running, int channel, float eps) {
  return 1 / sqrtf(running_scale(running) * running.variance[channel] + eps);
}

__global__ void normalize_by_running(ChannelLayout layout, float eps, RunningStats running,
                                     const float* x, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= layout.values_of_channel() * layout.channels) return;
  const int channel = layout.channel_of(i);
  y[i] = (x[i] - running_scale(running) * running.mean[channel]) *
         running_inverse_deviation(running, channel, eps);
}

__global__ void running_gradient(ChannelLayout layout, float eps, RunningStats running,
                                 const float* dy, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= layout.values_of_channel() * layout.channels) return;
  dx[i] = dy[i] * running_inverse_deviation(running, layout.channel_of(i), eps);
}

}  // namespace

class BatchNormLayerGPU : public BatchNormLayer {
 public:
  using BatchNormLayer::BatchNormLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count();
    if (uses_global_stats()) {
      if (count == 0) return;
      normalize_by_running<<<blocks_for(count), kThreadsPerBlock>>>(
          layout(), eps(), running(), bottom[0]->gpu_data(), top[0]->mutable_gpu_data());
      return check_launch("normalize_by_running");
    }
    keep_x(bottom, top);
    saved_.reshape({2, channels()});
    normalize_by_batch<<<std::max(1, channels()), kThreads>>>(
        layout(), eps(), parameter_.batch_norm_param().moving_average_fraction(), running(),
        bottom[0]->gpu_data(), saved_.mutable_gpu_data(), top[0]->mutable_gpu_data());
    check_launch("normalize_by_batch");
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int count = bottom[0]->count();
    if (!propagate_down[0] || count == 0) return;
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    if (uses_global_stats()) {
      running_gradient<<<blocks_for(count), kThreadsPerBlock>>>(layout(), eps(), running(), dy, dx);
      return check_launch("running_gradient");
    }
    batch_gradient<<<channels(), kThreads>>>(layout(), kept_x(bottom, top).gpu_data(),
                                             saved_.gpu_data(), dy, dx);
    check_launch("batch_gradient");
  }

 private:
  float eps() const { return parameter_.batch_norm_param().eps(); }
  RunningStats running() {
    return {blobs_[0]->mutable_gpu_data(), blobs_[1]->mutable_gpu_data(),
            blobs_[2]->mutable_gpu_data()};
  }

  Blob saved_;
};

REGISTER_LAYER(BatchNorm, GPU, BatchNormLayerGPU);

}  // namespace vibnet
