#include "layers/exp_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Exp, CPU, ElementwiseLayer<ExpFormula>);

}  // namespace vibnet
