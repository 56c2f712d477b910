#include "layers/log_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Log, GPU, ElementwiseLayerGPU<LogFormula>);

}  // namespace vibnet
