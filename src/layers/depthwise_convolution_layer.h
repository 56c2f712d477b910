#pragma once

#include "layers/convolution_layer.h"

namespace vibnet {

/// A Convolution with filters for each channel alone, the name that MobileNet's Caffe forks gave
/// it. `group` is the number of channels; it may be left out, and num_output must be a multiple.
class DepthwiseConvolutionLayer : public ConvolutionLayer {
 public:
  using ConvolutionLayer::ConvolutionLayer;

 protected:
  int groups(int channels) const override {
    return parameter_.convolution_param().has_group() ? ConvolutionLayer::groups(channels)
                                                      : channels;
  }
};

}  // namespace vibnet
