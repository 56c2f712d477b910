#include "layers/swish_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Swish, CPU, ElementwiseLayer<SwishFormula>);

}  // namespace vibnet
