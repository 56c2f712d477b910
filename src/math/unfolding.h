#pragma once

#include <cstddef>
#include <vector>

#include "math/im2col.h"

namespace vibnet {

/// Unfolds pictures as im2col does, and folds them as add_col2im, those of two axes faster: it may
/// write up to kLanes floats behind each tap's places, and read as many there and behind the
/// picture.
class Unfolding {
 public:
  Unfolding(const Window& window, Rows places);

  void unfold(const float* picture, float* columns, std::ptrdiff_t stride) const;
  /// Adds the columns to the picture.
  void fold(const float* columns, std::ptrdiff_t stride, float* picture) const;

 private:
  /// A tap along one axis: how far it is from the window's place, and for which places it stands
  /// within the axis.
  struct Tap {
    int offset;
    Places inside;
  };

  static std::vector<Tap> taps_along(const WindowAxis& axis);
  /// The rows of places for which a tap stands within the picture, how many of each, and where in
  /// the picture the first one is.
  struct Inside {
    int begin, end;
    int count;
    std::ptrdiff_t first;
  };
  Inside inside(const Tap& row, const Tap& column) const;
  std::ptrdiff_t width() const { return window_.axes[1].size; }
  std::ptrdiff_t plane() const { return window_.axes[0].size * width(); }

  const Window window_;
  const Rows places_;
  const int outputs_;
  std::vector<Tap> rows_;
  std::vector<Tap> columns_;
};

}  // namespace vibnet
