#pragma once

#include "simd/vector.h"

namespace vibnet::VIBNET_ISA {

/// The taps along an axis that stand within it, from begin to before end.
struct TapsInside {
  int begin, end;
};

VIBNET_INLINE TapsInside taps_inside(int first, int taps, int dilation, int size) {
  TapsInside inside{0, taps};
  while (inside.begin < taps && first + inside.begin * dilation < 0) ++inside.begin;
  while (inside.end > inside.begin && first + (inside.end - 1) * dilation >= size) --inside.end;
  return inside;
}

/// What a window's taps see, for COUNT vectors of channels, or channels, from one on.
template <typename Channels, int COUNT>
VIBNET_INLINE void sum_window(const DepthwisePlaces& d, TapsInside rows, TapsInside columns,
                              int left, int channel, float* to) {
  constexpr int kStep = sizeof(Channels) / sizeof(float);
  const auto read = [](const float* from) __attribute__((always_inline)) {
    Channels x;
    __builtin_memcpy(&x, from, sizeof(x));
    return x;
  };
  Channels sums[COUNT] = {};
  if (d.bias != nullptr)
#pragma GCC unroll 4
    for (int v = 0; v < COUNT; ++v) sums[v] = read(d.bias + channel + v * kStep);
  for (int row = rows.begin; row < rows.end; ++row) {
    const std::ptrdiff_t y = d.top + row * d.dilation_h;
    for (int column = columns.begin; column < columns.end; ++column) {
      const float* x = d.map + (y * d.width + left + column * d.dilation_w) * d.channels + channel;
      const float* w =
          d.weights + (std::ptrdiff_t{row} * d.kernel_w + column) * d.channels + channel;
#pragma GCC unroll 4
      for (int v = 0; v < COUNT; ++v) sums[v] += read(x + v * kStep) * read(w + v * kStep);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < COUNT; ++v) {
    if (d.rectifies) sums[v] = sums[v] < 0 ? Channels{} : sums[v];
    __builtin_memcpy(to + channel + v * kStep, &sums[v], sizeof(Channels));
  }
}

static void depthwise_places(const DepthwisePlaces& d) {
  constexpr int kVectors = 4;
  const TapsInside rows = taps_inside(d.top, d.kernel_h, d.dilation_h, d.height);
  float* to = d.to;
  for (int window = 0; window < d.windows; ++window, to += d.channels) {
    const int left = d.left + window * d.stride;
    const TapsInside columns = taps_inside(left, d.kernel_w, d.dilation_w, d.width);
    int channel = 0;
    for (; channel + kVectors * kWidth <= d.channels; channel += kVectors * kWidth)
      sum_window<Vector, kVectors>(d, rows, columns, left, channel, to);
    for (; channel + kWidth <= d.channels; channel += kWidth)
      sum_window<Vector, 1>(d, rows, columns, left, channel, to);
    // The last vector ends with the channels: some are summed once more.
    if (channel < d.channels && d.channels >= kWidth)
      sum_window<Vector, 1>(d, rows, columns, left, d.channels - kWidth, to);
    for (; d.channels < kWidth && channel < d.channels; ++channel)
      sum_window<float, 1>(d, rows, columns, left, channel, to);
  }
}

}  // namespace vibnet::VIBNET_ISA
