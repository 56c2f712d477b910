#include "layers/bnll_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(BNLL, CPU, ElementwiseLayer<BNLLFormula>);

}  // namespace vibnet
