#include "layers/relu_layer.h"

#include "vibnet/registry.h"

namespace vibnet {

void ReLULayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  const float slope = negative_slope();
#pragma omp simd  // each value alone, even in place
  for (int i = 0; i < block.count(); ++i) y[i] = x[i] * (x[i] > 0 ? 1 : slope);
}

void ReLULayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                               const float* dy, float* dx) {
  const float slope = negative_slope();
#pragma omp simd
  for (int i = 0; i < block.count(); ++i) dx[i] = dy[i] * (x[i] > 0 ? 1 : slope);
}

REGISTER_LAYER(ReLU, CPU, ReLULayer);

}  // namespace vibnet
