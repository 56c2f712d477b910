#include "layers/deconvolution_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

REGISTER_LAYER(Deconvolution, CPU, DeconvolutionLayer);

}  // namespace vibnet
