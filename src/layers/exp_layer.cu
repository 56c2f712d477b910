#include "layers/exp_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Exp, GPU, ElementwiseLayerGPU<ExpFormula>);

}  // namespace vibnet
