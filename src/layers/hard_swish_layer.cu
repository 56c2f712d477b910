#include "layers/hard_swish_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(HardSwish, GPU, ElementwiseLayerGPU<HardSwishFormula>);

}  // namespace vibnet
