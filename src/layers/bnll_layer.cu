#include "layers/bnll_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(BNLL, GPU, ElementwiseLayerGPU<BNLLFormula>);

}  // namespace vibnet
