#include "layers/sigmoid_layer.h"

#include "layers/elementwise_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Sigmoid, GPU, ElementwiseLayerGPU<SigmoidFormula>);

}  // namespace vibnet
