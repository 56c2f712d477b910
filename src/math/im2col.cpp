#include "math/im2col.h"

#include <algorithm>

namespace vibnet {
namespace {

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

/// Calls visit(plane, offset_h, offset_w) for the planes of all taps in the order of the column
/// matrix: the tap stands so far from the window's place along the last two axes.
template <typename Visit>
void for_each_tap(const Window& window, const Visit& visit) {
  const std::size_t outer = window.axes.size() - 2;
  const WindowAxis rows = window.axes[outer];
  const WindowAxis columns = window.axes[outer + 1];
  const auto for_each_tap_of_planes = [&](const auto& visit_offsets) {
    for (int kh = 0; kh < rows.kernel; ++kh)
      for (int kw = 0; kw < columns.kernel; ++kw)
        visit_offsets(kh * rows.dilation - rows.pad, kw * columns.dilation - columns.pad);
  };
  if (outer == 0) {
    for (int c = 0; c < window.channels; ++c)
      for_each_tap_of_planes([&](int h, int w) { visit(c, h, w); });
    return;
  }
  const int outer_taps = window.taps() / (rows.kernel * columns.kernel);
  std::vector<int> offsets(outer);
  for (int i = 0; i < outer_taps; ++i) {
    int rest = i;
    for (std::size_t axis = outer; axis-- > 0;) {
      const WindowAxis& along = window.axes[axis];
      offsets[axis] = rest % along.kernel * along.dilation - along.pad;
      rest /= along.kernel;
    }
    for_each_tap_of_planes([&](int h, int w) {
      for_each_plane(window, 0, offsets, rest, [&](int plane) { visit(plane, h, w); });
    });
  }
}

/// How a window moves over its last two axes.
struct Plane {
  explicit Plane(const Window& window)
      : rows(window.axes[window.axes.size() - 2]),
        columns(window.axes.back()),
        out_h(rows.outputs()),
        out_w(columns.outputs()) {}
  int values() const { return rows.size * columns.size; }
  int places() const { return out_h * out_w; }

  WindowAxis rows, columns;
  int out_h, out_w;
};

/// What one tap sees of a plane, place by place. The shape is a copy, so that it stays in
/// registers.
void unfold(const float* plane, const Plane& shape, Rows rows, int offset_h, int offset_w,
            float* columns) {
  const int height = shape.rows.size;
  const int width = shape.columns.size;
  const int stride = shape.columns.stride;
  const int out_w = shape.out_w;
  const Places in = places_inside(shape.columns, offset_w);
  int row = rows.begin * shape.rows.stride + offset_h;
  for (int y = rows.begin; y < rows.end; ++y, columns += out_w, row += shape.rows.stride) {
    if (row < 0 || row >= height) {
      std::fill_n(columns, out_w, 0.0f);
      continue;
    }
    const float* pixels = plane + row * width + offset_w;
    std::fill(columns, columns + in.begin, 0.0f);
    if (stride == 1)
      std::copy(pixels + in.begin, pixels + in.end, columns + in.begin);
    else
      for (int x = in.begin; x < in.end; ++x) columns[x] = pixels[x * stride];
    std::fill(columns + in.end, columns + out_w, 0.0f);
  }
}

/// Adds what unfold would have put there back to the plane.
void fold(const float* columns, const Plane& shape, Rows rows, int offset_h, int offset_w,
          float* plane) {
  const int height = shape.rows.size;
  const int width = shape.columns.size;
  const int stride = shape.columns.stride;
  const int out_w = shape.out_w;
  const Places in = places_inside(shape.columns, offset_w);
  int row = rows.begin * shape.rows.stride + offset_h;
  for (int y = rows.begin; y < rows.end; ++y, columns += out_w, row += shape.rows.stride) {
    if (row < 0 || row >= height) continue;
    float* pixels = plane + row * width + offset_w;
    if (stride == 1)
      for (int x = in.begin; x < in.end; ++x) pixels[x] += columns[x];
    else
      for (int x = in.begin; x < in.end; ++x) pixels[x * stride] += columns[x];
  }
}

int places_in(const Plane& shape, Rows rows) { return (rows.end - rows.begin) * shape.out_w; }

/// Calls visit(shape, rows, plane, offset_h, offset_w, at) for each stretch of the column matrix
/// that one plane and tap fill, with the place where it begins.
template <typename Visit>
void for_each_stretch(const Window& window, Rows rows, std::ptrdiff_t tap_stride,
                      const Visit& visit) {
  const Plane shape(window);
  if (window.axes.size() > 2) rows = {0, shape.out_h};
  const int places = places_in(shape, rows);
  const int planes = window.positions() / shape.places();
  int visited = 0;
  for_each_tap(window, [&](int plane, int offset_h, int offset_w) {
    visit(shape, rows, plane, offset_h, offset_w,
          visited / planes * tap_stride + visited % planes * places);
    ++visited;
  });
}

}  // namespace

Places places_inside(const WindowAxis& axis, int offset) {
  const int stride = axis.stride;
  const int begin = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  const int end = offset >= axis.size ? 0 : (axis.size - 1 - offset) / stride + 1;
  const int outputs = axis.outputs();
  return {std::min(begin, outputs), std::min(std::max(end, begin), outputs)};
}

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

bool Window::is_pointwise() const {
  return std::all_of(axes.begin(), axes.end(), [](const WindowAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad == 0;
  });
}

Rows all_rows(const Window& window) {
  return {0, window.axes.size() > 2 ? 1 : window.axes.front().outputs()};
}

void im2col(const float* picture, const Window& window, Rows rows, float* columns,
            std::ptrdiff_t tap_stride) {
  for_each_stretch(window, rows, tap_stride,
                   [&](const Plane& shape, Rows inside, int plane, int offset_h, int offset_w,
                       std::ptrdiff_t at) {
                     if (plane < 0)
                       std::fill_n(columns + at, places_in(shape, inside), 0.0f);
                     else
                       unfold(picture + plane * shape.values(), shape, inside, offset_h, offset_w,
                              columns + at);
                   });
}

void im2col(const float* picture, const Window& window, float* columns) {
  im2col(picture, window, all_rows(window), columns, window.positions());
}

void add_col2im(const float* columns, std::ptrdiff_t tap_stride, const Window& window, Rows rows,
                float* picture) {
  for_each_stretch(window, rows, tap_stride,
                   [&](const Plane& shape, Rows inside, int plane, int offset_h, int offset_w,
                       std::ptrdiff_t at) {
                     if (plane >= 0)
                       fold(columns + at, shape, inside, offset_h, offset_w,
                            picture + plane * shape.values());
                   });
}

void col2im(const float* columns, const Window& window, float* picture) {
  std::fill_n(picture, window.values(), 0.0f);
  add_col2im(columns, window.positions(), window, all_rows(window), picture);
}

}  // namespace vibnet
