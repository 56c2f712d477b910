#include "layers/elu_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(ELU, CPU, ElementwiseLayer<ELUFormula>);

}  // namespace vibnet
