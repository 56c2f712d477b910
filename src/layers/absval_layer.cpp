#include "layers/absval_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(AbsVal, CPU, ElementwiseLayer<AbsValFormula>);

}  // namespace vibnet
