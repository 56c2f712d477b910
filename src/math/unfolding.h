#pragma once

#include <cstddef>
#include <vector>

#include "math/im2col.h"

namespace vibnet {

/// Unfolds pictures as im2col does, those of two axes faster: it may write up to kLanes floats
/// behind each tap's places, and read as many behind the picture.
class Unfolding {
 public:
  Unfolding(const Window& window, Rows places);

  void unfold(const float* picture, float* columns, std::ptrdiff_t stride) const;

 private:
  /// A tap along one axis: how far it is from the window's place, and for which places it stands
  /// within the axis.
  struct Tap {
    int offset;
    Places inside;
  };

  static std::vector<Tap> taps_along(const WindowAxis& axis);
  void unfold_tap(const float* picture, const Tap& row, const Tap& column, float* columns,
                  std::ptrdiff_t channel) const;

  const Window window_;
  const Rows places_;
  const int outputs_;
  std::vector<Tap> rows_;
  std::vector<Tap> columns_;
};

}  // namespace vibnet
