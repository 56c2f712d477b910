#pragma once

#include "layers/convolution_layer.h"

namespace vibnet {

/// Convolution turned round: each bottom value adds its filter, times itself, to the window of the
/// top that it stands for (Caffe's Deconvolution).
///
/// Bottoms: ... x C x spatial axes; tops: ... x num_output x spatial axes, each of size
/// stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad. Parameters: filters, C x
/// num_output/group x kernel, and biases, unless bias_term is false.
class DeconvolutionLayer : public ConvolutionLayer {
 public:
  using ConvolutionLayer::ConvolutionLayer;

 protected:
  bool is_transposed() const override { return true; }
};

}  // namespace vibnet
