#pragma once

#include <cstdint>

namespace vibnet {

/// How a 2-D window moves over C planes of height x width.
struct Window {
  int channels = 0;
  int height = 0, width = 0;
  int kernel_h = 0, kernel_w = 0;
  int pad_h = 0, pad_w = 0;
  int stride_h = 1, stride_w = 1;
  int dilation_h = 1, dilation_w = 1;

  int out_height() const {
    return (height + 2 * pad_h - (dilation_h * (kernel_h - 1) + 1)) / stride_h + 1;
  }
  int out_width() const {
    return (width + 2 * pad_w - (dilation_w * (kernel_w - 1) + 1)) / stride_w + 1;
  }
  /// Whether the kernel is no larger than the padded planes.
  bool fits() const {
    return height + 2 * pad_h > std::int64_t{dilation_h} * (kernel_h - 1) &&
           width + 2 * pad_w > std::int64_t{dilation_w} * (kernel_w - 1);
  }
  /// Rows of the column matrix: what one output value sees.
  int taps() const { return channels * kernel_h * kernel_w; }
};

/// Unfolds a picture (C x height x width) into columns: taps() x (out_height * out_width).
void im2col(const float* picture, const Window& window, float* columns);

/// The transposed step: adds every column value back to the pixel it came from. Overwrites picture.
void col2im(const float* columns, const Window& window, float* picture);

}  // namespace vibnet
