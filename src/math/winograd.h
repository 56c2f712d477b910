#pragma once

#include <cstddef>

#include "math/convolution.h"
#include "simd/kernels.h"

namespace vibnet {

/// A convolution of stride 1 by r x r filters through Winograd's F(m x m, r x r): (m + r - 1)^2 /
/// m^2 instead of r^2 multiplications for a result (Lavin and Gray, Fast Algorithms for
/// Convolutional Neural Networks, 2016).
class Winograd : public ConvolutionKernel {
 public:
  /// Whether the convolution is one of those: without groups, padded by less than r, with an r of 3
  /// or 5 and an m of 2 or 4.
  static bool takes(const Convolution& convolution, int outputs_per_tile);

  Winograd(const Convolution& convolution, int outputs_per_tile);

  std::size_t prepared_size() const override;
  void prepare(const float* weights, float* prepared) const override;
  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override;
  void forward_prepared(const float* maps, const float* prepared, const Epilogue& epilogue,
                        float* results) const override;
  void backward_data(const float* results, const float* weights, float* maps) const override;
  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override;

 private:
  const Convolution convolution_;
  const WinogradKernels& kernels_;
};

}  // namespace vibnet
