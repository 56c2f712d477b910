#include "math/direct_convolution.h"

#include <omp.h>

#include <algorithm>
#include <functional>

#include "math/parallel.h"
#include "math/scratch.h"

namespace vibnet {
namespace {

constexpr int kMostChannels = 4;
constexpr int kMostStride = 4;
/// Of results that are copied for the sums by taps: a part of the first-level cache.
constexpr int kFloatsAtOnce = 4096;
/// Filters from which on the unfolded way sums the weights' gradient faster, and at a stride.
constexpr int kManyFilters = 48;
constexpr int kManyFiltersAtStride = 16;
/// Parts of the samples, each with sums of its own, however many threads there are.
constexpr int kShares = 8;

}  // namespace

bool DirectConvolution::takes(const Convolution& c) {
  return c.groups == 1 && c.window.axes.size() == 2 && c.window.channels <= kMostChannels &&
         c.places() > 0 && c.window.axes[1].outputs() >= kLanes &&
         std::all_of(c.window.axes.begin(), c.window.axes.end(), [](const WindowAxis& axis) {
           return axis.stride <= kMostStride && axis.pad <= axis.size &&
                  axis.reach() <= axis.size + 2 * axis.pad;
         });
}

DirectConvolution::DirectConvolution(const Convolution& convolution)
    : convolution_(convolution),
      rows_(convolution.window.axes[0]),
      columns_(convolution.window.axes[1]),
      height_((rows_.outputs() - 1) * rows_.stride + static_cast<int>(rows_.reach())),
      width_(parts(columns_.size + 2 * columns_.pad, columns_.stride)),
      unfolded_(convolution) {
  for (int c = 0; c < convolution.window.channels; ++c)
    for (int kh = 0; kh < rows_.kernel; ++kh)
      for (int kw = 0; kw < columns_.kernel; ++kw) {
        const int column = kw * columns_.dilation;
        const int plane = c * columns_.stride + column % columns_.stride;
        offsets_.push_back((std::ptrdiff_t{plane} * height_ + kh * rows_.dilation) * width_ +
                           column / columns_.stride);
      }
}

/// Floats of a map's padded planes, with room behind them.
std::ptrdiff_t DirectConvolution::padded_size() const {
  return std::ptrdiff_t{convolution_.window.channels} * columns_.stride * height_ * width_ + kLanes;
}

/// What some rows of windows see of a map, with zeros around and behind it. Returns where the first
/// of them begins.
const float* DirectConvolution::pad(const float* map, Rows windows, float* padded) const {
  const int first = windows.begin * rows_.stride;
  const int seen =
      (windows.end - windows.begin - 1) * rows_.stride + static_cast<int>(rows_.reach());
  const int above = std::clamp(rows_.pad - first, 0, seen);
  const int row = first + above - rows_.pad;
  const int height = std::clamp(rows_.size - row, 0, seen - above);
  float* to = padded + std::ptrdiff_t{first} * width_;
  // In the order of memory, as what is written behind a plane is the next one's.
  for (int plane = 0; plane < convolution_.window.channels * columns_.stride; ++plane) {
    const int phase = plane % columns_.stride;
    const int head = parts(std::max(0, columns_.pad - phase), columns_.stride);
    const int column = head * columns_.stride + phase - columns_.pad;
    const int count = parts(std::max(0, columns_.size - column), columns_.stride);
    const float* from = map + std::ptrdiff_t{plane / columns_.stride} * rows_.size * columns_.size;
    kernels().pad_planes({1, from + std::ptrdiff_t{row} * columns_.size + column, 0, columns_.size,
                          columns_.stride, above, height, seen - above - height, head, count,
                          to + std::ptrdiff_t{plane} * height_ * width_, 0, width_});
  }
  std::fill_n(padded + padded_size() - kLanes, kLanes, 0.0f);
  return to;
}

/// Threads share the samples, or the rows of few.
void DirectConvolution::forward(const float* maps, const float* weights, const Epilogue& epilogue,
                                float* results) const {
  const int outputs = rows_.outputs();
  const int row_parts =
      std::min(outputs, parts(omp_get_max_threads(), std::max(1, convolution_.samples)));
  parallel_jobs(convolution_.samples * row_parts, [&](int job, int /*thread*/) {
    const int sample = job / row_parts;
    const int part = job % row_parts;
    const Rows windows{outputs * part / row_parts, outputs * (part + 1) / row_parts};
    const float* map = maps + sample * convolution_.map_size();
    const float* from = is_padded() ? pad(map, windows, scratch(padded_size()))
                                    : map + windows.begin * window_row();
    const std::ptrdiff_t at =
        sample * convolution_.result_size() + std::ptrdiff_t{windows.begin} * columns_.outputs();
    kernels().weighted_sums({from, window_row(), offsets_.data(), weights, taps(),
                             convolution_.filters, epilogue.from(0, at),
                             windows.end - windows.begin, columns_.outputs(), results + at,
                             columns_.outputs(), convolution_.places()});
  });
}

/// Adds what a sample gives to the sums by the taps of kTapFilters filters from one on. Results
/// that are not whole vectors, or fewer, are copied: `copy` has room for kTapFilters rows, or
/// kFloatsAtOnce floats of them.
void DirectConvolution::sum_taps(const float* padded, const float* results, int filter, float* copy,
                                 float* sums) const {
  const int outputs = rows_.outputs();
  const int row = round_up_to_lanes(columns_.outputs());
  const int at_once = std::clamp(kFloatsAtOnce / (kTapFilters * row), 1, outputs);
  const int filters = std::min(kTapFilters, convolution_.filters - filter);
  const bool copies = filters < kTapFilters || row > columns_.outputs();
  const std::ptrdiff_t places = convolution_.places();
  const std::ptrdiff_t copy_size = std::ptrdiff_t{at_once} * row;
  if (copies) std::fill(copy + filters * copy_size, copy + kTapFilters * copy_size, 0.0f);
  for (int begin = 0; begin < outputs; begin += at_once) {
    const int rows = std::min(at_once, outputs - begin);
    const float* some = results + filter * places + std::ptrdiff_t{begin} * columns_.outputs();
    if (copies)
      kernels().pad_planes({filters, some, places, columns_.outputs(), 1, 0, rows, 0, 0,
                            columns_.outputs(), copy, copy_size, row});
    kernels().tap_sums({padded + begin * window_row(), window_row(), offsets_.data(), taps(),
                        copies ? copy : some, copies ? copy_size : places, rows, row, sums});
  }
}

/// Each thread takes some samples, or of few some filters.
void DirectConvolution::backward_weights(const float* maps, const float* results, bool adds,
                                         float* weights) const {
  const bool is_dense = rows_.stride == 1 && columns_.stride == 1;
  const int many = is_dense ? kManyFilters : kManyFiltersAtStride;
  if (convolution_.samples == 0 || convolution_.filters >= many)
    return unfolded_.backward_weights(maps, results, adds, weights);
  const int groups = parts(convolution_.filters, kTapFilters);
  const int share = parts(convolution_.samples, kShares);
  const int shares = parts(convolution_.samples, share);
  const int some = parts(groups, parts(omp_get_max_threads(), shares));
  const int filter_parts = parts(groups, some);
  const std::size_t group_size = std::size_t{kTapFilters} * taps() * kLanes;
  const std::size_t sums_size = groups * group_size;
  const std::size_t copy_size =
      kFloatsAtOnce + std::size_t{kTapFilters} * round_up_to_lanes(columns_.outputs());
  const std::size_t own_size = padded_size() + copy_size;
  float* sums = scratch(shares * sums_size + own_size * omp_get_max_threads());
  float* buffers = sums + shares * sums_size;
  parallel_jobs(shares * filter_parts, [&](int job, int thread) {
    const int begin = job / filter_parts * share;
    const int end = std::min(begin + share, convolution_.samples);
    const int first = job % filter_parts * some;
    const int last = std::min(first + some, groups);
    float* own_sums = sums + job / filter_parts * sums_size;
    float* padded = buffers + thread * own_size;
    std::fill(own_sums + first * group_size, own_sums + last * group_size, 0.0f);
    for (int n = begin; n < end; ++n) {
      pad(maps + n * convolution_.map_size(), all_rows(convolution_.window), padded);
      for (int group = first; group < last; ++group)
        sum_taps(padded, results + n * convolution_.result_size(), group * kTapFilters,
                 padded + padded_size(), own_sums + group * group_size);
    }
  });
  for (int s = 1; s < shares; ++s)
    std::transform(sums, sums + sums_size, sums + s * sums_size, sums, std::plus<>());
  for (int f = 0; f < convolution_.filters; ++f)
    for (int tap = 0; tap < taps(); ++tap) {
      const float* lanes = sums + f / kTapFilters * group_size +
                           (std::ptrdiff_t{tap} * kTapFilters + f % kTapFilters) * kLanes;
      float& weight = weights[std::ptrdiff_t{f} * taps() + tap];
      weight = (adds ? weight : 0) + kernels().blocks.sum(lanes, kLanes);
    }
}

}  // namespace vibnet
