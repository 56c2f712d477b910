#include "layers/hard_swish_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(HardSwish, CPU, ElementwiseLayer<HardSwishFormula>);

}  // namespace vibnet
