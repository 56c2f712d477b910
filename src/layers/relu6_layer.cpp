#include "layers/relu6_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(ReLU6, CPU, ElementwiseLayer<ReLU6Formula>);

}  // namespace vibnet
