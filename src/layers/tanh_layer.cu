#include "layers/tanh_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(TanH, GPU, ElementwiseLayerGPU<TanHFormula>);

}  // namespace vibnet
