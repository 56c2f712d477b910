#pragma once

#include <memory>

#include "math/convolution.h"

namespace vibnet {

/// A convolution on the GPU by one whose maps, results and weights have their channels last: they
/// are turned before and behind. Null where that takes more memory than a convolution may work in.
std::unique_ptr<ConvolutionKernel> make_channels_last(const Convolution& convolution,
                                                      std::unique_ptr<ConvolutionKernel> turned);

}  // namespace vibnet
