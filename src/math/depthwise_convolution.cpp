#include "math/depthwise_convolution.h"

#include <omp.h>

#include <algorithm>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// Of planes that are copied before they are summed: a part of the first-level cache.
constexpr int kFloatsAtOnce = 4096;

/// Places below which a thread's share of a plane is a matter of few cache lines.
constexpr int kSmallPlane = 512;

/// What the windows see of a padded axis: from the first tap of the first to the last of the last.
int seen(const WindowAxis& axis) {
  return (axis.outputs() - 1) * axis.stride + static_cast<int>(axis.reach());
}

}  // namespace

double DepthwiseConvolution::cost(const Convolution& c) {
  return double{1} * c.samples * c.groups * c.window.taps() * seen(c.window.axes[0]) *
         seen(c.window.axes[1]);
}

bool DepthwiseConvolution::takes(const Convolution& c) {
  return c.filters == 1 && c.window.channels == 1 && c.window.axes.size() == 2 && c.places() > 0;
}

DepthwiseConvolution::DepthwiseConvolution(const Convolution& convolution)
    : convolution_(convolution),
      rows_(convolution.window.axes[0]),
      columns_(convolution.window.axes[1]),
      height_(seen(rows_)),
      width_(seen(columns_)),
      split_width_(parts(width_, columns_.stride)) {
  for (int kh = 0; kh < rows_.kernel; ++kh)
    for (int kw = 0; kw < columns_.kernel; ++kw) {
      const std::ptrdiff_t row = std::ptrdiff_t{kh} * rows_.dilation;
      const int column = kw * columns_.dilation;
      offsets_.push_back(row * width_ + column);
      split_offsets_.push_back((column % columns_.stride * height_ + row) * split_width_ +
                               column / columns_.stride);
    }
}

/// Of a row, the values that any window sees.
int DepthwiseConvolution::seen_width() const {
  return std::clamp(width_ - columns_.pad, 0, columns_.size);
}

/// Copies a result to where its windows' first taps are in a padded plane, with zeros between.
void DepthwiseConvolution::spread(const float* result, float* spread) const {
  std::fill_n(spread, height_ * width_, 0.0f);
  const int outputs = columns_.outputs();
  for (int y = 0; y < rows_.outputs(); ++y, result += outputs) {
    float* row = spread + y * rows_.stride * width_;
    for (int i = 0; i < outputs; ++i) row[i * columns_.stride] = result[i];
  }
}

/// How to copy what some rows of windows see of a plane, with zeros around it, its columns dealt
/// out by stride: every stride-th from the first, then from the second, each with room for height_
/// rows. So windows side by side see values side by side. Copied one after the other, as each
/// writes up to kLanes floats more.
std::vector<DepthwiseConvolution::Copy> DepthwiseConvolution::split(Rows windows,
                                                                    int stride) const {
  const int first_row = windows.begin * rows_.stride - rows_.pad;
  const int seen_rows =
      (windows.end - windows.begin - 1) * rows_.stride + static_cast<int>(rows_.reach());
  const int above = std::clamp(-first_row, 0, seen_rows);
  const int height = std::clamp(rows_.size - first_row - above, 0, seen_rows - above);
  const int row = height > 0 ? first_row + above : 0;
  const int split_width = parts(width_, stride);
  std::vector<Copy> split;
  for (int first = 0; first < stride; ++first) {
    const int head = std::min(split_width, parts(std::max(0, columns_.pad - first), stride));
    const int column = head * stride + first - columns_.pad;
    const int seen = std::max(0, std::min(columns_.size, width_ - columns_.pad) - column);
    const int count = std::min(split_width - head, parts(seen, stride));
    const PaddedPlanes planes{1,
                              nullptr,
                              convolution_.window.values(),
                              columns_.size,
                              stride,
                              above,
                              height,
                              seen_rows - above - height,
                              head,
                              count,
                              nullptr,
                              padded_size(stride),
                              split_width};
    split.push_back(
        {planes, count > 0 ? row * columns_.size + column : 0, first * height_ * split_width});
  }
  return split;
}

/// Floats of a plane that split says how to copy, with room behind it.
std::ptrdiff_t DepthwiseConvolution::padded_size(int stride) const {
  return std::ptrdiff_t{height_} * parts(width_, stride) * stride + kLanes;
}

/// Copies so many planes, side by side.
void DepthwiseConvolution::copy(const std::vector<Copy>& parts, int planes, const float* maps,
                                float* columns) {
  for (const Copy& part : parts) {
    PaddedPlanes some = part.planes;
    some.planes = planes;
    some.from = maps + part.from;
    some.to = columns + part.to;
    kernels().pad_planes(some);
  }
}

bool DepthwiseConvolution::is_usual() const {
  const auto is_usual = [](const WindowAxis& axis) {
    return axis.kernel == 3 && axis.pad == 1 && axis.dilation == 1 && axis.stride <= 2;
  };
  return is_usual(rows_) && is_usual(columns_) && rows_.stride == columns_.stride;
}

/// Calls sum_planes(first, end, rows) for all rows of windows of all planes. Threads share the rows
/// of a few large planes rather than the planes: the pointwise convolution behind this one reads
/// all channels. In small ones they would write to the same cache lines.
template <typename SumPlanes>
void DepthwiseConvolution::share_planes(const SumPlanes& sum_planes) const {
  const int outputs = rows_.outputs();
  const int channels = convolution_.groups;
  const std::int64_t planes = std::int64_t{convolution_.samples} * channels;
  const int row_parts =
      std::min(parts(omp_get_max_threads(), std::max(1, convolution_.samples)), outputs);
  if (convolution_.places() / row_parts < kSmallPlane)
    return parallel_for(planes, grain_of(convolution_.places()),
                        [&](std::int64_t begin, std::int64_t end) {
                          sum_planes(begin, end, all_rows(convolution_.window));
                        });
  parallel_for(std::int64_t{convolution_.samples} * row_parts, 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t part = begin; part < end; ++part) {
                   const int index = static_cast<int>(part % row_parts);
                   const std::int64_t first = part / row_parts * channels;
                   sum_planes(first, first + channels,
                              Rows{outputs * index / row_parts, outputs * (index + 1) / row_parts});
                 }
               });
}

void DepthwiseConvolution::forward(const float* maps, const float* weights,
                                   const Epilogue& epilogue, float* results) const {
  const int channels = convolution_.groups;
  const int outputs = columns_.outputs();
  const int places = convolution_.places();
  const std::ptrdiff_t map_size = convolution_.window.values();
  if (is_usual())
    return share_planes([&](std::int64_t first, std::int64_t end, Rows rows) {
      for (std::int64_t plane = first; plane < end; ++plane) {
        const std::int64_t channel = plane % channels;
        kernels().depthwise_plane({maps + plane * map_size, rows_.size, columns_.size, rows_.stride,
                                   weights + channel * taps(),
                                   epilogue.from(channel, plane * places), rows.begin, rows.end,
                                   outputs, results + plane * places});
      }
    });
  const std::ptrdiff_t size = padded_size(columns_.stride);
  const std::int64_t at_once = std::max<std::int64_t>(1, kFloatsAtOnce / size);
  share_planes([&](std::int64_t first, std::int64_t end, Rows rows) {
    const std::vector<Copy> split = this->split(rows, columns_.stride);
    float* columns = scratch(at_once * size);
    for (std::int64_t some = first; some < end; some += at_once) {
      const int count = static_cast<int>(std::min(at_once, end - some));
      copy(split, count, maps + some * map_size, columns);
      for (int i = 0; i < count; ++i) {
        const std::int64_t channel = (some + i) % channels;
        const std::ptrdiff_t at = (some + i) * places + rows.begin * outputs;
        kernels().weighted_sums({columns + i * size, std::ptrdiff_t{rows_.stride} * split_width_,
                                 split_offsets_.data(), weights + channel * taps(), taps(), 1,
                                 epilogue.from(channel, at), rows.end - rows.begin, outputs,
                                 results + at, outputs, places});
      }
    }
  });
}

void DepthwiseConvolution::backward_data(const float* results, const float* weights,
                                         float* maps) const {
  // The results' gradients stand behind as many zeros as the last tap is behind the first.
  const std::ptrdiff_t room = offsets_.back();
  std::vector<std::ptrdiff_t> back;
  for (const std::ptrdiff_t offset : offsets_) back.push_back(room - offset);
  const std::size_t spread_size = room + std::size_t(height_) * width_ + kLanes;
  const int count = height_ * width_;
  const std::ptrdiff_t planes = std::ptrdiff_t{convolution_.samples} * convolution_.groups;
  parallel_for(planes, grain_of(convolution_.places()), [&](std::int64_t begin, std::int64_t end) {
    float* spread_result = scratch(spread_size + count + kLanes);
    float* sums = spread_result + spread_size;
    std::fill_n(spread_result, room, 0.0f);
    for (std::int64_t i = begin; i < end; ++i) {
      spread(results + i * convolution_.places(), spread_result + room);
      kernels().weighted_sums({spread_result,
                               0,
                               back.data(),
                               weights + i % convolution_.groups * taps(),
                               taps(),
                               1,
                               {},
                               1,
                               count,
                               sums,
                               0,
                               0});
      float* map = maps + i * convolution_.window.values();
      for (int y = 0; y < rows_.size; ++y, map += columns_.size) {
        const int row = y + rows_.pad;
        const int width = row < height_ ? seen_width() : 0;
        if (width > 0) std::copy_n(sums + row * width_ + columns_.pad, width, map);
        std::fill(map + width, map + columns_.size, 0.0f);
      }
    }
  });
}

void DepthwiseConvolution::backward_weights(const float* maps, const float* results, bool adds,
                                            float* weights) const {
  const std::ptrdiff_t size = padded_size(1);
  const std::vector<Copy> split = this->split(all_rows(convolution_.window), 1);
  const int count = (rows_.outputs() - 1) * rows_.stride * width_ +
                    (columns_.outputs() - 1) * columns_.stride + 1;
  parallel_for(convolution_.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    float* padded = scratch(2 * size);
    float* spread_result = padded + size;
    for (std::int64_t channel = begin; channel < end; ++channel) {
      float* sums = weights + channel * taps();
      if (!adds) std::fill_n(sums, taps(), 0.0f);
      for (int n = 0; n < convolution_.samples; ++n) {
        const std::ptrdiff_t plane = std::ptrdiff_t{n} * convolution_.groups + channel;
        copy(split, 1, maps + plane * convolution_.window.values(), padded);
        spread(results + plane * convolution_.places(), spread_result);
        for (int tap = 0; tap < taps(); ++tap)
          sums[tap] += kernels().blocks.dot(padded + offsets_[tap], 0, spread_result, count);
      }
    }
  });
}

}  // namespace vibnet
