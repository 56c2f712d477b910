#include "layers/tanh_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(TanH, CPU, ElementwiseLayer<TanHFormula>);

}  // namespace vibnet
