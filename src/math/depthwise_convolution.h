#pragma once

#include <cstddef>
#include <vector>

#include "math/convolution.h"
#include "simd/kernels.h"

namespace vibnet {

/// A convolution of each channel by a filter of its own, along two axes. The usual windows, 3 x 3,
/// are summed where the plane stands; for others it is copied once to where it has room around it.
class DepthwiseConvolution : public ConvolutionKernel {
 public:
  /// Whether the convolution is one of those.
  static bool takes(const Convolution& convolution);

  /// Multiply-adds of a gradient, those with the zeros between strides counted.
  static double cost(const Convolution& convolution);

  explicit DepthwiseConvolution(const Convolution& convolution);

  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override;
  void backward_data(const float* results, const float* weights, float* maps) const override;
  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override;

 private:
  /// Whether the windows are those of kernels().depthwise_plane.
  bool is_usual() const;
  template <typename SumPlanes>
  void share_planes(const SumPlanes& sum_planes) const;
  int taps() const { return static_cast<int>(offsets_.size()); }
  int seen_width() const;
  /// How to copy a part of a plane: what it reads of its map, and where it writes to.
  struct Copy {
    PaddedPlanes planes;
    std::ptrdiff_t from;
    std::ptrdiff_t to;
  };
  std::vector<Copy> split(Rows windows, int stride) const;
  static void copy(const std::vector<Copy>& parts, int planes, const float* maps, float* columns);
  std::ptrdiff_t padded_size(int stride) const;
  void spread(const float* result, float* spread) const;

  const Convolution convolution_;
  const WindowAxis rows_;
  const WindowAxis columns_;
  /// What all windows together see of a padded plane.
  const int height_;
  const int width_;
  /// Where each tap is from the first on, in a plane of that width.
  std::vector<std::ptrdiff_t> offsets_;
  /// The same in a plane that split has dealt out by stride, in rows of so many floats.
  const int split_width_;
  std::vector<std::ptrdiff_t> split_offsets_;
};

}  // namespace vibnet
