#include "layers/elu_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(ELU, GPU, ElementwiseLayerGPU<ELUFormula>);

}  // namespace vibnet
