#include <algorithm>
#include <memory>

#include "core/cuda.h"
#include "core/rank_sum.h"
#include "layers/batch_norm_layer.h"
#include "layers/channel_partition.h"
#include "layers/channel_pass_gpu.h"
#include "math/scratch_gpu.h"
#include "vibnet/registry.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

/// What becomes of a batch's moments.
struct BatchStats {
  int channels;
  float eps;
  float kept;
  /// Of a channel, over all ranks.
  int count;
  float* means;
  float* inverse_deviations;
  float* running_means;
  float* running_variances;
  float* running_count;

  __device__ void keep(int channel, float mean, float variance) const {
    if (channel == 0) *running_count = kept * *running_count + 1;
    if (channel >= channels) return;
    means[channel] = mean;
    inverse_deviations[channel] = 1 / sqrtf(variance + eps);
    const float unbiased = count > 1 ? float(count) / (count - 1) : 1;
    running_means[channel] = kept * running_means[channel] + mean;
    running_variances[channel] = kept * running_variances[channel] + unbiased * variance;
  }
};

/// Each channel's moments on their way to the whole batch's, where there are several ranks: the
/// rank's own mean, and what the ranks sum.
struct RankMoments {
  double* own_means;
  double* means;
  double* variances;
};

/// The moments of some values side by side, which a thread has at hand.
struct ThreadMoments {
  float count = 0;
  float mean = 0;
  float squares = 0;

  /// As Moments::add.
  template <int kWidth>
  __device__ void add(const Vector<kWidth>& x) {
    float sum = 0;
    for (const float value : x.at) sum += value;
    const float own_mean = sum / kWidth;
    const float apart = own_mean - mean;
    const float before = count;
    count += kWidth;
    mean += apart * (kWidth / count);
    squares += apart * apart * (before * (kWidth / count));
    for (const float value : x.at) squares += (value - own_mean) * (value - own_mean);
  }
};

template <int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    find_moments(const __grid_constant__ Partition cut, const float* x, Moments* of_parts,
                 const BatchStats stats, const RankMoments ranks) {
  const PartitionPlace place(cut);
  ThreadMoments moments;
  const int end = cut.first_unit(place.part + 1);
  for (int unit = cut.first_unit(place.part) + place.row; place.is_there && unit < end;
       unit += cut.rows())
    place.template each_vector<kWidth>(
        cut, unit, [&](int offset) { moments.add(Vector<kWidth>::of(x + offset)); });
  const Moments own[1] = {{moments.count, moments.mean, moments.squares}};
  __shared__ Moments totals[kWarp][1];
  if (!sum_over_parts(cut, place, own, of_parts, totals)) return;
  const int channel = place.group * cut.channels + static_cast<int>(threadIdx.x);
  if (threadIdx.x >= cut.channels) return;
  const Moments& all = totals[threadIdx.x][0];
  const double variance = all.count == 0 ? 0 : all.squares / all.count;
  if (ranks.means == nullptr)
    return stats.keep(channel, static_cast<float>(all.mean), static_cast<float>(variance));
  if (channel >= cut.layout.channels) return;
  ranks.own_means[channel] = ranks.means[channel] = all.mean;
  ranks.variances[channel] = variance;
}

/// A rank's variance around the whole batch's mean: see BatchNormLayer::join_looks.
__global__ void move_variances(int channels, int ranks, RankMoments moments) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= channels) return;
  const double apart = moments.own_means[channel] - moments.means[channel] / ranks;
  moments.variances[channel] += apart * apart;
}

/// A thread for each channel, and one where there is none.
__global__ void keep_stats(int ranks, RankMoments moments, BatchStats stats) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  const bool is_there = channel < stats.channels;
  stats.keep(channel, is_there ? static_cast<float>(moments.means[channel] / ranks) : 0,
             is_there ? static_cast<float>(moments.variances[channel] / ranks) : 0);
}

}  // namespace

class BatchNormLayerGPU : public ChannelwiseOnGPU<BatchNormLayer> {
 public:
  using ChannelwiseOnGPU::ChannelwiseOnGPU;

  void look_on_gpu(const float* x) override {
    saved_.reshape({2, channels()});
    Partition cut(layout());
    cut.groups = std::max(1, cut.groups);  // the batches are counted where no channel is, too
    const std::size_t bytes = bytes_of_parts<Moments>(cut, 1);
    if (context_.ranks->size() > 1) return look_with_others(cut, x, bytes);
    launch_find_moments(cut, x, static_cast<Moments*>(scratch_gpu(bytes)), {});
  }

  PassMember forward_member(const Blobs& /*bottom*/) override {
    if (uses_global_stats())
      return RunningStatsMember{blobs_[0]->gpu_data(), blobs_[1]->gpu_data(), blobs_[2]->gpu_data(),
                                eps()};
    const float* means = saved_.gpu_data();
    return BatchStatsMember{means, means + channels(), values(), nullptr, nullptr};
  }

  PassMember backward_member(const std::vector<bool>& propagate_down,
                             const Blobs& bottom) override {
    PassMember member = forward_member(bottom);
    if (uses_global_stats() || !propagate_down[0]) return member;
    if (sums_ == nullptr) sums_ = std::make_unique<SyncedMemory>(2 * channels() * sizeof(double));
    member.has_sums = true;
    member.batch_stats.products = static_cast<double*>(sums_->mutable_gpu_data());
    member.batch_stats.sums = member.batch_stats.products + channels();
    return member;
  }

  void end_sums_on_gpu() override {
    if (sums_ == nullptr || context_.ranks->size() == 1) return;
    sum_on_gpu(context_.ranks, static_cast<double*>(sums_->mutable_gpu_data()), 2 * channels());
  }

 private:
  void launch_find_moments(const Partition& cut, const float* x, Moments* of_parts,
                           const RankMoments& ranks) {
    if (cut.width == 4)
      find_moments<4><<<cut.blocks(), kPassThreads>>>(cut, x, of_parts, stats(), ranks);
    else
      find_moments<1><<<cut.blocks(), kPassThreads>>>(cut, x, of_parts, stats(), ranks);
    check_launch("find_moments");
  }

  void look_with_others(const Partition& cut, const float* x, std::size_t bytes) {
    const int ranks = context_.ranks->size();
    const int rooms = std::max(1, channels());
    auto* scratch = static_cast<double*>(scratch_gpu(3 * rooms * sizeof(double) + bytes));
    const RankMoments moments{scratch, scratch + rooms, scratch + 2 * rooms};
    launch_find_moments(cut, x, reinterpret_cast<Moments*>(scratch + 3 * rooms), moments);
    sum_on_gpu(context_.ranks, moments.means, channels());
    move_variances<<<blocks_for(rooms), kThreadsPerBlock>>>(channels(), ranks, moments);
    check_launch("move_variances");
    sum_on_gpu(context_.ranks, moments.variances, channels());
    keep_stats<<<blocks_for(rooms), kThreadsPerBlock>>>(ranks, moments, stats());
    check_launch("keep_stats");
  }

  BatchStats stats() {
    float* means = saved_.mutable_gpu_data();
    return {channels(),
            eps(),
            parameter_.batch_norm_param().moving_average_fraction(),
            values(),
            means,
            means + channels(),
            blobs_[0]->mutable_gpu_data(),
            blobs_[1]->mutable_gpu_data(),
            blobs_[2]->mutable_gpu_data()};
  }
  float eps() const { return parameter_.batch_norm_param().eps(); }

  /// The batch's means, then its inverse deviations.
  Blob saved_;
  /// Of dL/dy times x - mean, then of dL/dy.
  std::unique_ptr<SyncedMemory> sums_;
};

REGISTER_LAYER(BatchNorm, GPU, BatchNormLayerGPU);

}  // namespace vibnet
