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
  for (std::size_t row = 0; row < rows_.size(); ++row)
    for (std::size_t column = 0; column < columns_.size(); ++column, columns += stride)
      unfold_tap(picture, rows_[row], columns_[column], columns,
                 static_cast<std::ptrdiff_t>(rows_.size() * columns_.size()) * stride);
}

/// The places of a tap of each channel, which are `channel` floats apart.
void Unfolding::unfold_tap(const float* picture, const Tap& row, const Tap& column, float* columns,
                           std::ptrdiff_t channel) const {
  const std::ptrdiff_t width = window_.axes[1].size;
  const int down = window_.axes[0].stride;
  const int across = window_.axes[1].stride;
  const int count = std::max(0, column.inside.end - column.inside.begin);
  const int begin = std::clamp(row.inside.begin, places_.begin, places_.end);
  const int end = count == 0 ? begin : std::clamp(row.inside.end, begin, places_.end);
  const std::ptrdiff_t first =
      (begin * down + row.offset) * width + column.inside.begin * across + column.offset;
  kernels().pad_planes({window_.channels, picture + (begin < end ? first : 0),
                        window_.axes[0].size * width, down * width, across, begin - places_.begin,
                        end - begin, places_.end - end, column.inside.begin, count, columns,
                        channel, outputs_});
}

}  // namespace vibnet
