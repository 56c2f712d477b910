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

/// The last two axes of a window, and where one tap stands in them.
struct Tap {
  WindowAxis rows, columns;
  int out_h, out_w;
  int offset_h, offset_w;
};

/// Calls visit(plane) for the window's places along the axes from `axis` to the last two; the
/// plane is -1 where the tap stands in the padding.
template <typename Visit>
void for_each_plane(const Window& window, std::size_t axis, const std::vector<int>& offsets,
                    int plane, const Visit& visit) {
  if (axis + 2 == window.axes.size()) return visit(plane);
  const WindowAxis& along = window.axes[axis];
  const int outputs = along.outputs();
  for (int i = 0; i < outputs; ++i) {
    const int at = i * along.stride + offsets[axis];
    const bool is_inside = plane >= 0 && at >= 0 && at < along.size;
    for_each_plane(window, axis + 1, offsets, is_inside ? plane * along.size + at : -1, visit);
  }
}

/// Calls visit(plane, tap) for the planes in the order of the column matrix.
template <typename Visit>
void for_each_tap(const Window& window, const Visit& visit) {
  const int axes = static_cast<int>(window.axes.size());
  const int taps = window.taps();
  std::vector<int> offsets(axes);
  Tap tap{window.axes[axes - 2], window.axes[axes - 1], 0, 0, 0, 0};
  tap.out_h = tap.rows.outputs();
  tap.out_w = tap.columns.outputs();
  for (int i = 0; i < taps; ++i) {
    int rest = i;
    for (int axis = axes - 1; axis >= 0; --axis) {
      const WindowAxis& along = window.axes[axis];
      offsets[axis] = rest % along.kernel * along.dilation - along.pad;
      rest /= along.kernel;
    }
    tap.offset_h = offsets[axes - 2];
    tap.offset_w = offsets[axes - 1];
    for_each_plane(window, 0, offsets, rest, [&](int plane) { visit(plane, tap); });
  }
}

}  // namespace

int Window::values() const {
  int product = channels;
  for (const WindowAxis& axis : axes) product *= axis.size;
  return product;
}

int Window::taps() const {
  int product = channels;
  for (const WindowAxis& axis : axes) product *= axis.kernel;
  return product;
}

int Window::positions() const {
  int product = 1;
  for (const WindowAxis& axis : axes) product *= axis.outputs();
  return product;
}

void im2col(const float* picture, const Window& window, float* columns) {
  for_each_tap(window, [&](int plane, const Tap& tap) {
    if (plane < 0) {
      columns = std::fill_n(columns, tap.out_h * tap.out_w, 0.0f);
      return;
    }
    const int height = tap.rows.size;
    const int width = tap.columns.size;
    const int stride = tap.columns.stride;
    const Range in = inside(tap.out_w, stride, tap.offset_w, width);
    for (int y = 0; y < tap.out_h; ++y, columns += tap.out_w) {
      const int row = y * tap.rows.stride + tap.offset_h;
      if (row < 0 || row >= height) {
        std::fill_n(columns, tap.out_w, 0.0f);
        continue;
      }
      const float* pixels = picture + (plane * height + row) * width + tap.offset_w;
      std::fill(columns, columns + in.first, 0.0f);
      if (stride == 1)
        std::copy(pixels + in.first, pixels + in.last, columns + in.first);
      else
        for (int x = in.first; x < in.last; ++x) columns[x] = pixels[x * stride];
      std::fill(columns + in.last, columns + tap.out_w, 0.0f);
    }
  });
}

void col2im(const float* columns, const Window& window, float* picture) {
  std::fill_n(picture, window.values(), 0.0f);
  for_each_tap(window, [&](int plane, const Tap& tap) {
    const int height = tap.rows.size;
    const int width = tap.columns.size;
    const int stride = tap.columns.stride;
    const Range in = inside(tap.out_w, stride, tap.offset_w, width);
    for (int y = 0; y < tap.out_h; ++y, columns += tap.out_w) {
      const int row = y * tap.rows.stride + tap.offset_h;
      if (plane < 0 || row < 0 || row >= height) continue;
      float* pixels = picture + (plane * height + row) * width + tap.offset_w;
      if (stride == 1)
        for (int x = in.first; x < in.last; ++x) pixels[x] += columns[x];
      else
        for (int x = in.first; x < in.last; ++x) pixels[x * stride] += columns[x];
    }
  });
}

}  // namespace vibnet
