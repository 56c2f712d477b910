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

Unfolding::Inside Unfolding::inside(const Tap& row, const Tap& column) const {
  const int count = std::max(0, column.inside.end - column.inside.begin);
  const int begin = std::clamp(row.inside.begin, places_.begin, places_.end);
  const int end = count == 0 ? begin : std::clamp(row.inside.end, begin, places_.end);
  if (begin == end) return {begin, end, count, 0};
  return {begin, end, count,
          (begin * window_.axes[0].stride + row.offset) * width() +
              column.inside.begin * window_.axes[1].stride + column.offset};
}

void Unfolding::unfold(const float* picture, float* columns, std::ptrdiff_t stride) const {
  if (window_.axes.size() > 2) return im2col(picture, window_, places_, columns, stride);
  const auto channel = static_cast<std::ptrdiff_t>(rows_.size() * columns_.size()) * stride;
  for (const Tap& row : rows_)
    for (const Tap& column : columns_) {
      const Inside in = inside(row, column);
      kernels().pad_planes({window_.channels, picture + in.first, plane(),
                            window_.axes[0].stride * width(), window_.axes[1].stride,
                            in.begin - places_.begin, in.end - in.begin, places_.end - in.end,
                            column.inside.begin, in.count, columns, channel, outputs_});
      columns += stride;
    }
}

void Unfolding::fold(const float* columns, std::ptrdiff_t stride, float* picture) const {
  if (window_.axes.size() > 2) return add_col2im(columns, stride, window_, places_, picture);
  const auto channel = static_cast<std::ptrdiff_t>(rows_.size() * columns_.size()) * stride;
  for (const Tap& row : rows_)
    for (const Tap& column : columns_) {
      const Inside in = inside(row, column);
      const int first = (in.begin - places_.begin) * outputs_ + column.inside.begin;
      kernels().add_planes({window_.channels, columns + first, channel, outputs_, in.end - in.begin,
                            in.count, picture + in.first, plane(), window_.axes[0].stride * width(),
                            window_.axes[1].stride});
      columns += stride;
    }
}

}  // namespace vibnet
