#include "math/unfolding.h"

#include <algorithm>

#include "simd/kernels.h"

namespace vibnet {

Unfolding::Unfolding(const Window& window, Rows places)
    : window_(window), places_(places), outputs_(window.axes.back().outputs()) {
  if (window.axes.size() > 2) return;
  rows_ = taps_along(window.axes[0]);
  columns_ = taps_along(window.axes[1]);
}

std::vector<Unfolding::Tap> Unfolding::taps_along(const WindowAxis& axis) {
  std::vector<Tap> taps;
  for (int k = 0; k < axis.kernel; ++k) {
    const int offset = k * axis.dilation - axis.pad;
    taps.push_back({offset, places_inside(axis, offset)});
  }
  return taps;
}

void Unfolding::unfold(const float* picture, float* columns, std::ptrdiff_t stride) const {
  if (window_.axes.size() > 2) return im2col(picture, window_, places_, columns, stride);
  const int plane = window_.axes[0].size * window_.axes[1].size;
  for (int channel = 0; channel < window_.channels; ++channel, picture += plane)
    for (const Tap& row : rows_)
      for (const Tap& column : columns_) {
        unfold_tap(picture, row, column, columns);
        columns += stride;
      }
}

void Unfolding::unfold_tap(const float* plane, const Tap& row, const Tap& column, float* to) const {
  const int begin = std::clamp(row.inside.begin, places_.begin, places_.end);
  const int end = std::clamp(row.inside.end, begin, places_.end);
  const int count = column.inside.end - column.inside.begin;
  if (count <= 0 || begin >= end) {
    std::fill_n(to, (places_.end - places_.begin) * outputs_, 0.0f);
    return;
  }
  const std::ptrdiff_t width = window_.axes[1].size;
  const int down = window_.axes[0].stride;
  const int across = window_.axes[1].stride;
  std::fill_n(to, (begin - places_.begin) * outputs_, 0.0f);
  to += (begin - places_.begin) * outputs_;
  kernels().pad_rows(
      {plane + (begin * down + row.offset) * width + column.inside.begin * across + column.offset,
       down * width, across, end - begin, count, column.inside.begin, to, outputs_});
  std::fill_n(to + (end - begin) * outputs_, (places_.end - end) * outputs_, 0.0f);
}

}  // namespace vibnet
