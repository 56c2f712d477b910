#include "layers/deconvolution_layer.h"

#include "layers/convolution_layer_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Deconvolution, GPU, ConvolutionOnGPU<DeconvolutionLayer>);

}  // namespace vibnet
