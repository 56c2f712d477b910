#include "math/depthwise_convolution.h"

#include <algorithm>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

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

/// Copies a plane with zeros around it, its columns dealt out by stride: every stride-th from the
/// first, then from the second, each of height_ rows. So windows side by side see values side by
/// side. Up to kLanes floats more are written.
void DepthwiseConvolution::split(const float* map, int stride, float* columns) const {
  const int above = std::min(rows_.pad, height_);
  const int height = std::min(height_ - above, rows_.size);
  const int split_width = parts(width_, stride);
  for (int first = 0; first < stride; ++first) {
    const int head = std::min(split_width, parts(std::max(0, columns_.pad - first), stride));
    const int column = head * stride + first - columns_.pad;
    const int seen = std::max(0, std::min(columns_.size, width_ - columns_.pad) - column);
    const int count = std::min(split_width - head, parts(seen, stride));
    kernels().pad_planes({1, map + column, 0, columns_.size, stride, above, height,
                          height_ - above - height, head, count, columns, 0, split_width});
    columns += height_ * split_width;
  }
}

void DepthwiseConvolution::forward(const float* maps, const float* weights,
                                   const Epilogue& epilogue, float* results) const {
  const int outputs = columns_.outputs();
  const int places = convolution_.places();
  const int map_size = convolution_.window.values();
  const std::size_t size = std::size_t(height_) * split_width_ * columns_.stride + kLanes;
  const std::ptrdiff_t planes = std::ptrdiff_t{convolution_.samples} * convolution_.groups;
  parallel_for(planes, grain_of(places), [&](std::int64_t begin, std::int64_t end) {
    float* columns = scratch(size);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t channel = i % convolution_.groups;
      split(maps + i * map_size, columns_.stride, columns);
      kernels().weighted_sums({columns, std::ptrdiff_t{rows_.stride} * split_width_,
                               split_offsets_.data(), weights + channel * taps(), taps(),
                               epilogue.from(channel), rows_.outputs(), outputs,
                               results + i * places, outputs});
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
                               {},
                               1,
                               count,
                               sums,
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

void DepthwiseConvolution::backward_weights(const float* maps, const float* results,
                                            float* weights) const {
  const std::size_t size = std::size_t(height_) * width_;
  const int count = (rows_.outputs() - 1) * rows_.stride * width_ +
                    (columns_.outputs() - 1) * columns_.stride + 1;
  parallel_for(convolution_.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    float* padded = scratch(2 * size + kLanes);
    float* spread_result = padded + size;
    for (std::int64_t channel = begin; channel < end; ++channel)
      for (int n = 0; n < convolution_.samples; ++n) {
        const std::ptrdiff_t plane = std::ptrdiff_t{n} * convolution_.groups + channel;
        split(maps + plane * convolution_.window.values(), 1, padded);
        spread(results + plane * convolution_.places(), spread_result);
        for (int tap = 0; tap < taps(); ++tap)
          weights[channel * taps() + tap] +=
              kernels().blocks.dot(padded + offsets_[tap], 0, spread_result, count);
      }
  });
}

}  // namespace vibnet
