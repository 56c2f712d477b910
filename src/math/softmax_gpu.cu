#include "math/softmax_gpu.h"

#include <cmath>

#include "core/cuda.h"

namespace vibnet {
namespace {

constexpr int kWarp = 32;

/// The threads that share a row: the warp where a row's values stand side by side, else one, for
/// then those of neighbouring rows do.
struct Sharing {
  int lanes;
  explicit Sharing(int inner) : lanes(inner == 1 ? kWarp : 1) {}
  int blocks(int rows) const { return blocks_for(1LL * rows * lanes); }
};

/// A row's classes as one thread goes through them.
struct Row {
  int index, first, lane, step;

  __device__ Row(int lanes, int classes, int inner) {
    const long long thread = 1LL * blockIdx.x * blockDim.x + threadIdx.x;
    index = static_cast<int>(thread / lanes);
    lane = static_cast<int>(thread % lanes);
    first = index / inner * classes * inner + index % inner;
    step = inner;
  }
  __device__ int at(int c) const { return first + c * step; }
};

/// Over the lanes of a row, the same in all of them; whole warps call it.
__device__ float sum_over(int lanes, float value) {
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}
__device__ float largest_over(int lanes, float value) {
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
}

__global__ void softmax(int rows, int lanes, int classes, int inner, const float* x, float* y) {
  const Row row(lanes, classes, inner);
  if (row.index >= rows) return;
  float largest = -HUGE_VALF;  // each lane reads but what it writes: y may be x
  for (int c = row.lane; c < classes; c += lanes) largest = fmaxf(largest, x[row.at(c)]);
  largest = largest_over(lanes, largest);
  float sum = 0;
  for (int c = row.lane; c < classes; c += lanes) sum += expf(x[row.at(c)] - largest);
  sum = sum_over(lanes, sum);
  for (int c = row.lane; c < classes; c += lanes) y[row.at(c)] = expf(x[row.at(c)] - largest) / sum;
}

__global__ void softmax_gradient(int rows, int lanes, int classes, int inner, const float* y,
                                 const float* dy, float* dx) {
  const Row row(lanes, classes, inner);
  if (row.index >= rows) return;
  float dot = 0;
  for (int c = row.lane; c < classes; c += lanes) dot += dy[row.at(c)] * y[row.at(c)];
  dot = sum_over(lanes, dot);
  for (int c = row.lane; c < classes; c += lanes)
    dx[row.at(c)] = (dy[row.at(c)] - dot) * y[row.at(c)];
}

}  // namespace

void softmax_gpu(const float* x, int outer, int classes, int inner, float* y) {
  const int rows = outer * inner;
  if (rows == 0 || classes == 0) return;
  const Sharing sharing(inner);
  softmax<<<sharing.blocks(rows), kThreadsPerBlock>>>(rows, sharing.lanes, classes, inner, x, y);
  check_launch("softmax");
}

void softmax_gradient_gpu(const float* y, const float* dy, int outer, int classes, int inner,
                          float* dx) {
  const int rows = outer * inner;
  if (rows == 0 || classes == 0) return;
  const Sharing sharing(inner);
  softmax_gradient<<<sharing.blocks(rows), kThreadsPerBlock>>>(rows, sharing.lanes, classes, inner,
                                                               y, dy, dx);
  check_launch("softmax_gradient");
}

}  // namespace vibnet
