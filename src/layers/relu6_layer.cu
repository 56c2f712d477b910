#include "layers/relu6_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(ReLU6, GPU, ElementwiseLayerGPU<ReLU6Formula>);

}  // namespace vibnet
