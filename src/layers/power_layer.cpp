#include "layers/power_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Power, CPU, ElementwiseLayer<PowerFormula>);

}  // namespace vibnet
