#include "layers/absval_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(AbsVal, GPU, ElementwiseLayerGPU<AbsValFormula>);

}  // namespace vibnet
