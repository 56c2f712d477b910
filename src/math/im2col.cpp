#include "math/im2col.h"

#include <algorithm>

namespace vibnet {
namespace {

/// The outputs x for which pixel x * stride + offset lies in [0, size): [first, last).
struct Range {
  int first, last;
};

Range inside(int outputs, int stride, int offset, int size) {
  const int first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  const int last = offset >= size ? 0 : (size - 1 - offset) / stride + 1;
  return {std::min(first, outputs), std::min(std::max(last, first), outputs)};
}

/// Calls visit(plane, offset_h, offset_w) for the taps in the order of the column matrix's rows.
template <typename Visit>
void for_each_tap(const Window& window, const Visit& visit) {
  for (int c = 0; c < window.channels; ++c)
    for (int kh = 0; kh < window.kernel_h; ++kh)
      for (int kw = 0; kw < window.kernel_w; ++kw)
        visit(c * window.height * window.width, kh * window.dilation_h - window.pad_h,
              kw * window.dilation_w - window.pad_w);
}

}  // namespace

void im2col(const float* picture, const Window& window, float* columns) {
  const int out_h = window.out_height();
  const int out_w = window.out_width();
  for_each_tap(window, [&](int plane, int offset_h, int offset_w) {
    const Range in = inside(out_w, window.stride_w, offset_w, window.width);
    for (int y = 0; y < out_h; ++y, columns += out_w) {
      const int row = y * window.stride_h + offset_h;
      if (row < 0 || row >= window.height) {
        std::fill_n(columns, out_w, 0.0f);
        continue;
      }
      const float* pixels = picture + plane + row * window.width + offset_w;
      std::fill(columns, columns + in.first, 0.0f);
      if (window.stride_w == 1)
        std::copy(pixels + in.first, pixels + in.last, columns + in.first);
      else
        for (int x = in.first; x < in.last; ++x) columns[x] = pixels[x * window.stride_w];
      std::fill(columns + in.last, columns + out_w, 0.0f);
    }
  });
}

void col2im(const float* columns, const Window& window, float* picture) {
  const int out_h = window.out_height();
  const int out_w = window.out_width();
  std::fill_n(picture, window.channels * window.height * window.width, 0.0f);
  for_each_tap(window, [&](int plane, int offset_h, int offset_w) {
    const Range in = inside(out_w, window.stride_w, offset_w, window.width);
    for (int y = 0; y < out_h; ++y, columns += out_w) {
      const int row = y * window.stride_h + offset_h;
      if (row < 0 || row >= window.height) continue;
      float* pixels = picture + plane + row * window.width + offset_w;
      if (window.stride_w == 1)
        for (int x = in.first; x < in.last; ++x) pixels[x] += columns[x];
      else
        for (int x = in.first; x < in.last; ++x) pixels[x * window.stride_w] += columns[x];
    }
  });
}

}  // namespace vibnet
