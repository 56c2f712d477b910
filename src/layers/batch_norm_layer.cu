#include <algorithm>

#include "core/block_sum.h"
#include "core/cuda.h"
#include "core/rank_sum.h"
#include "layers/batch_norm_layer.h"
#include "math/scratch_gpu.h"
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

struct Moments {
  float mean;
  float variance;
};

/// Of a channel, by its block.
__device__ Moments moments_of(ChannelLayout layout, int channel, const float* x) {
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
  return {mean, sum_over_block<kThreads>(squares) / divisor};
}

/// What becomes of a batch's moments: y, which may be x, and the running sums.
struct Normalization {
  ChannelLayout layout;
  float eps;
  float kept;
  RunningStats running;
  /// Of a channel, over all ranks.
  int count;
  /// The means, then the inverse deviations.
  float* saved;

  /// By the channel's block.
  __device__ void apply(int channel, const Moments& moments, const float* x, float* y) const {
    const float scale = 1 / sqrtf(moments.variance + eps);
    for (int i = threadIdx.x; i < layout.values_of_channel(); i += kThreads)
      y[layout.index_of(channel, i)] = (x[layout.index_of(channel, i)] - moments.mean) * scale;
    if (threadIdx.x != 0) return;
    saved[channel] = moments.mean;
    saved[layout.channels + channel] = scale;
    const float unbiased = count > 1 ? float(count) / (count - 1) : 1;
    running.mean[channel] = kept * running.mean[channel] + moments.mean;
    running.variance[channel] = kept * running.variance[channel] + unbiased * moments.variance;
  }
};

/// A block for each channel, and one where there is none.
__global__ void normalize_by_batch(Normalization normalization, const float* x, float* y) {
  const int channel = blockIdx.x;
  const RunningStats& running = normalization.running;
  if (channel == 0 && threadIdx.x == 0) *running.factor = normalization.kept * *running.factor + 1;
  if (channel >= normalization.layout.channels) return;
  normalization.apply(channel, moments_of(normalization.layout, channel, x), x, y);
}

/// Each channel's moments on their way to the whole batch's: the rank's own mean, and what the
/// ranks sum.
struct RankMoments {
  double* own_means;
  double* means;
  double* variances;
};

__global__ void find_moments(ChannelLayout layout, const float* x, RankMoments moments) {
  const int channel = blockIdx.x;
  if (channel >= layout.channels) return;
  const Moments own = moments_of(layout, channel, x);
  if (threadIdx.x != 0) return;
  moments.own_means[channel] = moments.means[channel] = own.mean;
  moments.variances[channel] = own.variance;
}

/// A rank's variance around the whole batch's mean: see BatchNormLayer::join_looks.
__global__ void move_variances(int channels, int ranks, RankMoments moments) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= channels) return;
  const double apart = moments.own_means[channel] - moments.means[channel] / ranks;
  moments.variances[channel] += apart * apart;
}

__global__ void normalize_by_ranks(Normalization normalization, int ranks, RankMoments moments,
                                   const float* x, float* y) {
  const int channel = blockIdx.x;
  const RunningStats& running = normalization.running;
  if (channel == 0 && threadIdx.x == 0) *running.factor = normalization.kept * *running.factor + 1;
  if (channel >= normalization.layout.channels) return;
  const Moments all{static_cast<float>(moments.means[channel] / ranks),
                    static_cast<float>(moments.variances[channel] / ranks)};
  normalization.apply(channel, all, x, y);
}

/// The gradient by x of a batch's normalization; dx may be dy.
struct BatchGradient {
  ChannelLayout layout;
  /// Of a channel, over all ranks.
  int count;
  const float* saved;
  const float* x;
  const float* dy;

  /// The sums of dL/dy and of it times x - mean, by the channel's block.
  __device__ float2 sums_of(int channel) const {
    const float mean = saved[channel];
    float sum = 0;
    float products = 0;
    for (int i = threadIdx.x; i < layout.values_of_channel(); i += kThreads) {
      const int at = layout.index_of(channel, i);
      sum += dy[at];
      products += dy[at] * (x[at] - mean);
    }
    return {sum_over_block<kThreads>(sum), sum_over_block<kThreads>(products)};
  }

  __device__ void apply(int channel, const float2& sums, float* dx) const {
    const float mean = saved[channel];
    const float scale = saved[layout.channels + channel];
    const float of_mean = sums.x / count * scale;
    const float of_variance = sums.y / count * scale * scale * scale;
    for (int i = threadIdx.x; i < layout.values_of_channel(); i += kThreads) {
      const int at = layout.index_of(channel, i);
      dx[at] = dy[at] * scale - of_mean - of_variance * (x[at] - mean);
    }
  }
};

/// A block for each channel, as in the two kernels below, which sum over ranks in between.
__global__ void batch_gradient(BatchGradient gradient, float* dx) {
  gradient.apply(blockIdx.x, gradient.sums_of(blockIdx.x), dx);
}

__global__ void find_gradient_sums(BatchGradient gradient, double* sums) {
  const float2 own = gradient.sums_of(blockIdx.x);
  if (threadIdx.x != 0) return;
  sums[2 * blockIdx.x] = own.x;
  sums[2 * blockIdx.x + 1] = own.y;
}

__global__ void gradient_of_ranks(BatchGradient gradient, const double* sums, float* dx) {
  const float2 all{static_cast<float>(sums[2 * blockIdx.x]),
                   static_cast<float>(sums[2 * blockIdx.x + 1])};
  gradient.apply(blockIdx.x, all, dx);
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
    const Normalization normalization{
        layout(),  eps(),    parameter_.batch_norm_param().moving_average_fraction(),
        running(), values(), saved_.mutable_gpu_data()};
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    if (context_.ranks->size() > 1) return normalize_with_others(normalization, x, y);
    normalize_by_batch<<<blocks(), kThreads>>>(normalization, x, y);
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
    const BatchGradient gradient{layout(), values(), saved_.gpu_data(),
                                 kept_x(bottom, top).gpu_data(), dy};
    if (context_.ranks->size() > 1) return find_gradient_with_others(gradient, dx);
    batch_gradient<<<channels(), kThreads>>>(gradient, dx);
    check_launch("batch_gradient");
  }

 private:
  int blocks() const { return std::max(1, channels()); }

  void normalize_with_others(const Normalization& normalization, const float* x, float* y) {
    const int ranks = context_.ranks->size();
    auto* scratch = static_cast<double*>(scratch_gpu(3 * blocks() * sizeof(double)));
    const RankMoments moments{scratch, scratch + blocks(), scratch + 2 * blocks()};
    find_moments<<<blocks(), kThreads>>>(normalization.layout, x, moments);
    check_launch("find_moments");
    sum_on_gpu(context_.ranks, moments.means, channels());
    move_variances<<<blocks_for(blocks()), kThreadsPerBlock>>>(channels(), ranks, moments);
    check_launch("move_variances");
    sum_on_gpu(context_.ranks, moments.variances, channels());
    normalize_by_ranks<<<blocks(), kThreads>>>(normalization, ranks, moments, x, y);
    check_launch("normalize_by_ranks");
  }

  void find_gradient_with_others(const BatchGradient& gradient, float* dx) {
    auto* sums = static_cast<double*>(scratch_gpu(2 * channels() * sizeof(double)));
    find_gradient_sums<<<channels(), kThreads>>>(gradient, sums);
    check_launch("find_gradient_sums");
    sum_on_gpu(context_.ranks, sums, 2 * channels());
    gradient_of_ranks<<<channels(), kThreads>>>(gradient, sums, dx);
    check_launch("gradient_of_ranks");
  }

  float eps() const { return parameter_.batch_norm_param().eps(); }
  RunningStats running() {
    return {blobs_[0]->mutable_gpu_data(), blobs_[1]->mutable_gpu_data(),
            blobs_[2]->mutable_gpu_data()};
  }

  Blob saved_;
};

REGISTER_LAYER(BatchNorm, GPU, BatchNormLayerGPU);

}  // namespace vibnet
