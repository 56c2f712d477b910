#include "layers/depthwise_convolution_layer.h"

#include "layers/convolution_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(DepthwiseConvolution, GPU, ConvolutionOnGPU<DepthwiseConvolutionLayer>);

}  // namespace vibnet
