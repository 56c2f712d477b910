#include "layers/relu_layer.h"

#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

void ReLULayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  kernels().blocks.scale_by_sign(x, negative_slope(), x, y, block.count());
}

void ReLULayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                               const float* dy, float* dx) {
  kernels().blocks.scale_by_sign(x, negative_slope(), dy, dx, block.count());
}

REGISTER_LAYER(ReLU, CPU, ReLULayer);

}  // namespace vibnet
