#include "layers/broadcast_layer.h"

#include <algorithm>

namespace vibnet {

Shape BroadcastLayer::operand_shape(const Blob& x, int axis, int num_axes) const {
  const int first = x.canonical_axis(axis);
  const int axes = num_axes == -1 ? x.axes() - first : num_axes;
  if (axes < 0 || axes > x.axes() - first)
    fail("num_axes: ", num_axes, " reaches past the bottom's axes");
  return {x.shape().begin() + first, x.shape().begin() + first + axes};
}

void BroadcastLayer::place(const Blob& x, const Blob& operand, int axis, const char* what) {
  const Shape& shape = operand.shape();
  const int first = shape.empty() ? 0 : x.canonical_axis(axis);
  const int last = first + static_cast<int>(shape.size());
  if (last > x.axes() || !std::equal(shape.begin(), shape.end(), x.shape().begin() + first))
    fail("the ", what, " is ", to_string(shape), ", which does not fit the bottom, ",
         to_string(x.shape()), ", from axis ", first, " on");
  set_layout({x.count(0, first), x.count(first, last), x.count(last)});
}

}  // namespace vibnet
