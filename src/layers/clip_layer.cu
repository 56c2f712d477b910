#include "layers/clip_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Clip, GPU, ElementwiseLayerGPU<ClipFormula>);

}  // namespace vibnet
