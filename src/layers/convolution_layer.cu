#include "layers/convolution_layer.h"

#include "layers/convolution_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Convolution, GPU, ConvolutionOnGPU<ConvolutionLayer>);

}  // namespace vibnet
