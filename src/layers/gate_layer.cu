#include "layers/gate_layer_gpu.h"

namespace vibnet {
namespace {

__global__ void multiply(int count, int spatial, int period, const float* x, const float* factors,
                         float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) y[i] = x[i] * factors[i / spatial % period];
}

/// A warp for each sample and channel.
__global__ void sum_products(int rows, int spatial, const float* x, const float* dy, float* sums) {
  const int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (row >= rows) return;
  float sum = 0;
  for (int s = lane; s < spatial; s += 32) sum += x[row * spatial + s] * dy[row * spatial + s];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (lane == 0) sums[row] = sum;
}

}  // namespace

void multiply_gpu(int count, int spatial, int period, const float* x, const float* factors,
                  float* y) {
  multiply<<<blocks_for(count), kThreadsPerBlock>>>(count, spatial, period, x, factors, y);
  check_launch("multiply");
}

void sum_products_gpu(int rows, int spatial, const float* x, const float* dy, float* sums) {
  sum_products<<<blocks_for(32LL * rows), kThreadsPerBlock>>>(rows, spatial, x, dy, sums);
  check_launch("sum_products");
}

}  // namespace vibnet
