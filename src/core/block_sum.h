#pragma once

// For CUDA sources only.

namespace vibnet {

/// The sum of a value of each of the block's kThreads threads, a power of 2, for all of them; in
/// the same order in every run.
template <int kThreads, typename Value>
__device__ Value sum_over_block(Value value) {
  __shared__ Value parts[kThreads];
  parts[threadIdx.x] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  __syncthreads();
  const Value sum = parts[0];
  __syncthreads();
  return sum;
}

}  // namespace vibnet
