#include "layers/swish_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Swish, GPU, ElementwiseLayerGPU<SwishFormula>);

}  // namespace vibnet
