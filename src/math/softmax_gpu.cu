#include "math/softmax_gpu.h"

#include <algorithm>
#include <cmath>

#include "core/cuda.h"

namespace vibnet {
namespace {

constexpr int kMostThreads = 256;

/// A thread for each row, where neighbouring rows lie side by side.
__global__ void softmax_of_threads(int rows, int classes, int inner, const float* x, float* y) {
  const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (row >= rows) return;
  const int first = row / inner * classes * inner + row % inner;
  float largest = x[first];
  for (int c = 1; c < classes; ++c) largest = std::max(largest, x[first + c * inner]);
  float sum = 0;
  for (int c = 0; c < classes; ++c) sum += expf(x[first + c * inner] - largest);
  for (int c = 0; c < classes; ++c)
    y[first + c * inner] = expf(x[first + c * inner] - largest) / sum;
}

struct Larger {
  __device__ float operator()(float a, float b) const { return std::max(a, b); }
};
struct Plus {
  __device__ float operator()(float a, float b) const { return a + b; }
};

/// What the values of a block's threads come to, in each of them.
template <typename Operation>
__device__ float combined(float value, Operation operation, float* shared) {
  __syncthreads();
  shared[threadIdx.x] = value;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      shared[threadIdx.x] = operation(shared[threadIdx.x], shared[threadIdx.x + half]);
  }
  __syncthreads();
  return shared[0];
}

/// A block for each row of classes that lie side by side.
__global__ void softmax_of_blocks(int classes, const float* x, float* y) {
  __shared__ float shared[kMostThreads];
  const float* from = x + static_cast<long long>(blockIdx.x) * classes;
  float* to = y + static_cast<long long>(blockIdx.x) * classes;
  const int thread = static_cast<int>(threadIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  float largest = -INFINITY;
  for (int c = thread; c < classes; c += threads) largest = std::max(largest, from[c]);
  largest = combined(largest, Larger{}, shared);
  float sum = 0;
  for (int c = thread; c < classes; c += threads) sum += expf(from[c] - largest);
  sum = combined(sum, Plus{}, shared);
  for (int c = thread; c < classes; c += threads) to[c] = expf(from[c] - largest) / sum;
}

}  // namespace

void softmax_gpu(const float* x, int outer, int classes, int inner, float* y) {
  const int rows = outer * inner;
  if (rows == 0 || classes == 0) return;
  if (inner > 1) {
    softmax_of_threads<<<blocks_for(rows), kThreadsPerBlock>>>(rows, classes, inner, x, y);
  } else {
    int threads = 32;
    while (threads < kMostThreads && threads < classes) threads *= 2;
    softmax_of_blocks<<<rows, threads>>>(classes, x, y);
  }
  check_launch("softmax_gpu");
}

}  // namespace vibnet
