#pragma once

#include "vibnet/host_device.h"

namespace vibnet {

/// Some of a blob's values in an order of their own: along each axis they are a step apart.
struct StridedView {
  /// As many as a Blob can have.
  static constexpr int kMostAxes = 32;

  void add_axis_in_front(int size, int step) {
    sizes[axes] = size;
    steps[axes++] = step;
  }

  /// Where the i-th value stands in the blob.
  VIBNET_HOST_DEVICE int index(int i) const {
    int index = begin;
    for (int axis = 0; axis < axes; ++axis) {
      index += i % sizes[axis] * steps[axis];
      i /= sizes[axis];
    }
    return index;
  }

  int axes = 0;
  int begin = 0;
  /// The last axis first.
  int sizes[kMostAxes];
  int steps[kMostAxes];
};

}  // namespace vibnet
