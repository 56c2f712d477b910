#include "layers/sigmoid_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Sigmoid, CPU, ElementwiseLayer<SigmoidFormula>);

}  // namespace vibnet
