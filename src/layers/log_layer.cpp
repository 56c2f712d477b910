#include "layers/log_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Log, CPU, ElementwiseLayer<LogFormula>);

}  // namespace vibnet
