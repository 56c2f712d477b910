#pragma once

#include <memory>

#include "math/convolution.h"

namespace vibnet {

/// The convolution by cuDNN, channels first or last, whichever a clock says is faster with what it
/// takes to turn maps and results; all pointers the device's; null where cuDNN has none: over more
/// than three axes, without channels or places, or with a window that is larger than the padded
/// map.
std::unique_ptr<ConvolutionKernel> make_convolution_gpu(const Convolution& convolution);

/// y += bias, a value for each of the channels: samples x channels x values.
void add_bias_gpu(int samples, int channels, int values, const float* bias, float* y);
/// The gradient of that: adds each channel's sum, the same way in every run.
void add_bias_gradient_gpu(int samples, int channels, int values, const float* dy, float* d_bias);

}  // namespace vibnet
