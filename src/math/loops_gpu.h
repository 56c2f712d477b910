#pragma once

// For .cu files only: the loops that kernels are made of. Functions that hand them a lambda must be
// public, as nvcc has it; what a lambda reads must be a local of theirs, since a member is behind
// the host's `this`.

#include <algorithm>
#include <cstdint>

#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "core/rank_sum.h"
#include "math/scratch_gpu.h"

namespace vibnet {

template <typename Body>
__global__ void __launch_bounds__(kThreadsPerBlock) for_each_kernel(unsigned count, Body body) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) body(static_cast<int>(i));
}

/// Calls body(i) for each i of 0 .. count - 1, a thread each.
template <typename Body>
void for_each_gpu(int count, const Body& body) {
  if (count == 0) return;
  for_each_kernel<<<blocks_for(count), kThreadsPerBlock>>>(static_cast<unsigned>(count), body);
  check_launch("for_each_gpu");
}

inline void copy_gpu(int count, const float* from, float* to) {
  gpu_runtime()->copy_on_device(to, from, count * sizeof(float));
}

inline void zero_gpu(int count, float* values) {
  gpu_runtime()->fill_zero(values, count * sizeof(float));
}

/// Up to two sums that are taken in one pass.
struct Sums {
  double first;
  double second;

  __device__ void add(const Sums& other) {
    first += other.first;
    second += other.second;
  }
};

constexpr int kMostSumThreads = 512;
/// A row of more values than this is shared by several blocks, as long as there are no more blocks
/// in all than kMostParts.
constexpr int kValuesOfPart = 8192;
constexpr int kMostParts = 1024;

/// A block for each part of each row.
template <typename OfThread, typename Finish>
__global__ void __launch_bounds__(kMostSumThreads)
    sum_by_threads_kernel(int parts, OfThread of_thread, Finish finish) {
  __shared__ Sums sums[kMostSumThreads];
  const int block = static_cast<int>(blockIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  sums[thread] = of_thread(block / parts, block % parts * threads + thread, parts * threads);
  for (int half = threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) sums[thread].add(sums[thread + half]);
  }
  if (thread == 0) finish(block, sums[0]);
}

struct KeepSumOfPart {
  Sums* sums_of_parts;
  __device__ void operator()(int block, const Sums& sum) const { sums_of_parts[block] = sum; }
};

struct SumParts {
  const Sums* sums_of_parts;
  int parts;
  __device__ Sums operator()(int row, int thread, int threads) const {
    Sums sums{};
    for (int part = thread; part < parts; part += threads)
      sums.add(sums_of_parts[row * parts + part]);
    return sums;
  }
};

template <typename OfThread, typename Finish>
void launch_sums(int rows, int parts, int size, const OfThread& of_thread, const Finish& finish) {
  int threads = 32;
  while (threads < kMostSumThreads && threads < size / parts) threads *= 2;
  sum_by_threads_kernel<<<rows * parts, threads>>>(parts, of_thread, finish);
  check_launch("sum_by_threads_gpu");
}

/// Sums rows of `size` values each: calls finish(row, Sums) in one thread for each row, with the
/// sum of of_thread(row, thread, threads), which is what a row's thread has to sum, over its
/// threads. Their number, a power of two from 32 on, and the order hang on the sizes alone, so that
/// two runs are equal bit for bit.
template <typename OfThread, typename Finish>
void sum_by_threads_gpu(int rows, int size, const OfThread& of_thread, const Finish& finish) {
  if (rows == 0) return;
  const int parts = std::max(1, std::min(size / kValuesOfPart, kMostParts / rows));
  if (parts == 1) return launch_sums(rows, 1, size, of_thread, finish);
  auto* sums_of_parts = static_cast<Sums*>(sums_gpu(kMostParts * sizeof(Sums)));
  launch_sums(rows, parts, size, of_thread, KeepSumOfPart{sums_of_parts});
  launch_sums(rows, 1, parts, SumParts{sums_of_parts, parts}, finish);
}

template <typename Value>
struct SumValues {
  int size;
  Value value;
  __device__ Sums operator()(int row, int thread, int threads) const {
    Sums sums{};
    for (std::int64_t i = thread; i < size; i += threads) sums.add(value(row, static_cast<int>(i)));
    return sums;
  }
};

/// The same for the sum of value(row, i) over i < size.
template <typename Value, typename Finish>
void sum_rows_gpu(int rows, int size, const Value& value, const Finish& finish) {
  sum_by_threads_gpu(rows, size, SumValues<Value>{size, value}, finish);
}

/// The same where each of the ranks has a part of every row.
template <typename Value, typename Finish>
void sum_rows_of_ranks_gpu(Communicator* ranks, int rows, int size, const Value& value,
                           const Finish& finish) {
  if (ranks->size() == 1) return sum_rows_gpu(rows, size, value, finish);
  auto* all = static_cast<Sums*>(scratch_gpu(rows * sizeof(Sums)));
  sum_rows_gpu(rows, size, value, [=] __device__(int row, const Sums& sums) { all[row] = sums; });
  sum_on_gpu(ranks, &all->first, 2 * rows);
  for_each_gpu(rows, [=] __device__(int row) { finish(row, all[row]); });
}

}  // namespace vibnet
