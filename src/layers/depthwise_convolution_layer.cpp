#include "layers/depthwise_convolution_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(DepthwiseConvolution, CPU, DepthwiseConvolutionLayer);

}  // namespace vibnet
