#include "layers/clip_layer.h"

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Clip, CPU, ElementwiseLayer<ClipFormula>);

}  // namespace vibnet
