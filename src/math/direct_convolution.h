#pragma once

#include <cstddef>
#include <vector>

#include "math/convolution.h"
#include "math/unfolded_convolution.h"
#include "simd/kernels.h"

namespace vibnet {

/// A convolution of few channels, as a net's first is: places side by side are summed where the
/// planes stand, for many filters at once, and nothing is unfolded. At a stride, the columns that a
/// tap sees stand side by side too, in planes of their own. Gradients by the maps, which such a
/// layer seldom needs, and by the weights of many filters come by the unfolded way.
class DirectConvolution : public ConvolutionKernel {
 public:
  /// Whether the convolution is one of those, with rows that fill a vector.
  static bool takes(const Convolution& convolution);

  explicit DirectConvolution(const Convolution& convolution);

  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override;
  void backward_data(const float* results, const float* weights, float* maps) const override {
    unfolded_.backward_data(results, weights, maps);
  }
  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override;

 private:
  int taps() const { return static_cast<int>(offsets_.size()); }
  /// Whether the maps are not the padded planes as they stand.
  bool is_padded() const {
    return columns_.pad > 0 || columns_.stride > 1 || rows_.pad > 0 || height_ != rows_.size;
  }
  /// Floats of padded planes from a row of windows to the next.
  std::ptrdiff_t window_row() const { return std::ptrdiff_t{rows_.stride} * width_; }
  std::ptrdiff_t padded_size() const;
  const float* pad(const float* map, Rows windows, float* padded) const;
  void sum_taps(const float* padded, const float* results, int filter, float* copy,
                float* sums) const;

  const Convolution convolution_;
  const WindowAxis rows_;
  const WindowAxis columns_;
  /// Of a padded plane, as far as windows see it; a channel has one for each column of a stride.
  const int height_;
  const int width_;
  /// Where each tap is from the first on, in padded planes.
  std::vector<std::ptrdiff_t> offsets_;
  const UnfoldedConvolution unfolded_;
};

}  // namespace vibnet
