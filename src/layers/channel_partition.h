#pragma once

// For .cu files only: how kernels that sum over channels share the work.

#include <algorithm>
#include <cstring>

#include "core/cuda.h"
#include "layers/channelwise_layer.h"
#include "math/scratch_gpu.h"

namespace vibnet {

constexpr int kPassThreads = 256;
constexpr int kWarp = 32;

/// A layout cut among blocks of kPassThreads: into groups of channels that stand side by side, and
/// each group's samples, or pieces of them, into parts, a block each. A thread keeps to one channel
/// and takes `width` values at once. All of it hangs on the layout alone, and so does the order in
/// which a channel's values are summed.
struct Partition {
  ChannelLayout layout;
  int width;
  /// Of a group.
  int channels;
  /// Threads side by side on a group's samples, so many of them on each channel.
  int lanes;
  int share;
  /// Values of a piece of a sample's channel; and how many pieces there are.
  int piece;
  int pieces;
  int groups;
  int parts;
  /// Of each group with several parts: those that have come to an end, 0 between launches.
  unsigned* ended_parts;

  explicit Partition(const ChannelLayout& of) : layout(of) {
    constexpr int kVectorsOfPiece = 1024;
    width = of.values % 4 == 0 ? 4 : 1;
    const int vectors = std::max(1, of.values / width);
    channels = std::max(1, std::min(kWarp / vectors, of.channels));
    lanes = 1;
    while (lanes < kPassThreads && lanes < channels * vectors) lanes *= 2;
    share = channels == 1 ? lanes : vectors;
    piece = std::min(vectors, kVectorsOfPiece) * width;
    pieces = std::max(1, (of.values + piece - 1) / piece);
    groups = (of.channels + channels - 1) / channels;
    parts = std::max(1, std::min(units(), parts_wanted()));
    ended_parts = parts > 1 ? counters_gpu() : nullptr;
  }

  int blocks() const { return groups * parts; }
  VIBNET_HOST_DEVICE int rows() const { return kPassThreads / lanes; }
  /// Pieces of samples.
  VIBNET_HOST_DEVICE int units() const { return layout.samples * pieces; }
  VIBNET_HOST_DEVICE int first_unit(int part) const {
    return static_cast<int>(1LL * units() * part / parts);
  }
  /// The m-th of a channel's threads.
  VIBNET_HOST_DEVICE int thread_of(int channel, int m) const {
    return m / share * lanes + channel * share + m % share;
  }

 private:
  /// As many as fill a large GPU, of as many values as make a block worth its start.
  int parts_wanted() const {
    constexpr long long kMostBlocks = 2 * kCounters;  // so that groups in parts are no more
    constexpr long long kLeastValues = 2048;
    const long long values = 1LL * layout.samples * layout.values * channels;
    return static_cast<int>(std::min(values / kLeastValues, kMostBlocks / std::max(1, groups)));
  }
};

/// Where a thread stands in a partition.
struct PartitionPlace {
  int group, part;
  /// The channel among the group's, and in the layout.
  int k, channel;
  /// The first of its units behind its part's first, and of its vectors in a piece.
  int row, first_vector;
  bool is_there;

  __device__ explicit PartitionPlace(const Partition& cut) {
    const int lane = static_cast<int>(threadIdx.x) % cut.lanes;
    group = static_cast<int>(blockIdx.x) / cut.parts;
    part = static_cast<int>(blockIdx.x) % cut.parts;
    k = lane / cut.share;
    channel = group * cut.channels + k;
    row = static_cast<int>(threadIdx.x) / cut.lanes;
    first_vector = lane % cut.share;
    is_there = k < cut.channels && channel < cut.layout.channels;
  }

  /// Calls body(offset) for each vector of a unit that is this thread's.
  template <int kWidth, typename Body>
  __device__ void each_vector(const Partition& cut, int unit, const Body& body) const {
    const int begin = unit % cut.pieces * cut.piece;
    const int plane = unit / cut.pieces * cut.layout.channels + channel;
    const int values = min(cut.piece, cut.layout.values - begin);
    const int first = plane * cut.layout.values + begin;
    for (int v = first_vector * kWidth; v < values; v += cut.share * kWidth) body(first + v);
  }
};

/// Values that a thread reads and writes at once.
template <int kWidth>
struct alignas(kWidth * sizeof(float)) Vector {
  float at[kWidth];

  __device__ static Vector of(const float* values) {
    return *reinterpret_cast<const Vector*>(values);
  }
  __device__ void write_to(float* values) const { *reinterpret_cast<Vector*>(values) = *this; }
};

template <typename Value>
__device__ Value shuffle_down(const Value& value, int distance) {
  static_assert(sizeof(Value) % sizeof(double) == 0, "");
  constexpr int kWords = sizeof(Value) / sizeof(double);
  double words[kWords];
  memcpy(words, &value, sizeof(Value));
  for (double& word : words) word = __shfl_down_sync(0xffffffffu, word, distance);
  Value other;
  memcpy(&other, words, sizeof(Value));
  return other;
}

/// For the warp's first lane.
template <typename Value>
__device__ Value sum_over_warp(Value value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value.add(shuffle_down(value, distance));
  return value;
}

/// Whether this block is the last of its group's parts: what the others wrote is there for it.
__device__ inline bool is_last_part(const Partition& cut, int group) {
  __shared__ bool is_last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const auto last = static_cast<unsigned>(cut.parts - 1);
    is_last = atomicInc(&cut.ended_parts[group], last) == last;
  }
  __syncthreads();
  __threadfence();
  return is_last;
}

/// Sums what each thread has of its channel. Returns whether this block is the one that gets the
/// totals, a row for each of the group's channels: the last of its parts to come here. `of_parts`
/// is room for the sums of all parts where there are several.
template <int kCount, typename Value>
__device__ bool sum_over_parts(const Partition& cut, const PartitionPlace& place,
                               const Value (&own)[kCount], Value* of_parts,
                               Value (*totals)[kCount]) {
  __shared__ Value all[kCount][kPassThreads];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int sums = cut.channels * kCount;
  Value* of_group = cut.parts == 1 ? nullptr : of_parts + 1LL * place.group * sums * cut.parts;
  for (int i = 0; i < kCount; ++i) all[i][threadIdx.x] = own[i];
  __syncthreads();
  for (int s = warp; s < sums; s += kPassThreads / kWarp) {
    Value sum{};
    for (int m = lane; m < cut.rows() * cut.share; m += kWarp)
      sum.add(all[s % kCount][cut.thread_of(s / kCount, m)]);
    sum = sum_over_warp(sum);
    if (lane != 0) continue;
    if (cut.parts == 1)
      totals[s / kCount][s % kCount] = sum;
    else
      of_group[s * cut.parts + place.part] = sum;
  }
  if (cut.parts > 1) {
    if (!is_last_part(cut, place.group)) return false;
    for (int s = warp; s < sums; s += kPassThreads / kWarp) {
      Value sum{};
      for (int part = lane; part < cut.parts; part += kWarp)
        sum.add(of_group[s * cut.parts + part]);
      sum = sum_over_warp(sum);
      if (lane == 0) totals[s / kCount][s % kCount] = sum;
    }
  }
  __syncthreads();
  return true;
}

/// Bytes of sum_over_parts' `of_parts`.
template <typename Value>
std::size_t bytes_of_parts(const Partition& cut, int count) {
  if (cut.parts == 1) return 0;
  return sizeof(Value) * cut.groups * cut.channels * count * cut.parts;
}

}  // namespace vibnet
