#include "layers/power_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Power, GPU, ElementwiseLayerGPU<PowerFormula>);

}  // namespace vibnet
