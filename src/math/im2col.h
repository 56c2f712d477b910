#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vibnet/host_device.h"

namespace vibnet {

/// How a window moves along one axis.
struct WindowAxis {
  int size = 1;
  int kernel = 1;
  int pad = 0;
  int stride = 1;
  int dilation = 1;

  /// What the kernel spans, its holes included.
  VIBNET_HOST_DEVICE std::int64_t reach() const {
    return std::int64_t{dilation} * (kernel - 1) + 1;
  }
  /// Whether the kernel reaches beyond the padded axis by less than a stride, as Caffe allows.
  bool fits() const { return size + 2LL * pad - reach() > -stride; }
  VIBNET_HOST_DEVICE int outputs() const {
    return static_cast<int>((size + 2LL * pad - reach()) / stride + 1);
  }
};

/// Those places along an axis, from begin to before end, of which a tap that is `offset` from the
/// window's place stands within the axis.
struct Places {
  int begin;
  int end;
};
Places places_inside(const WindowAxis& axis, int offset);

/// How a window moves over C planes, or volumes, of any number of axes.
struct Window {
  int channels = 0;
  /// At least two; what has fewer axes has some of size 1 in front.
  std::vector<WindowAxis> axes;

  /// Values of the picture.
  int values() const;
  /// Rows of the column matrix: what one output value sees.
  int taps() const;
  /// Columns of the column matrix: the places where the window stands.
  int positions() const;
  /// Whether each place sees one value of each channel, and each value has one place.
  bool is_pointwise() const;
};

/// Rows of places: along the window's last two axes where it has no others, else all are one row.
struct Rows {
  int begin;
  int end;
};
Rows all_rows(const Window& window);

/// Unfolds a picture (C x the axes' sizes) into the columns of the places in these rows: taps() x
/// places, the taps `tap_stride` floats apart.
void im2col(const float* picture, const Window& window, Rows rows, float* columns,
            std::ptrdiff_t tap_stride);
void im2col(const float* picture, const Window& window, float* columns);

/// The transposed step: adds every column value back to the pixel it came from.
void add_col2im(const float* columns, std::ptrdiff_t tap_stride, const Window& window, Rows rows,
                float* picture);
/// The same for all rows. Overwrites picture.
void col2im(const float* columns, const Window& window, float* picture);

}  // namespace vibnet
