#include "math/unfolded_convolution.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// Floats of unfolded map that a core's cache holds, next to the rest.
constexpr int kPieceFloats = 1 << 16;
/// The same, for what all cores work on together.
constexpr std::size_t kBatchFloats = 1 << 19;
/// Columns below which a product wastes its vectors.
constexpr int kFewPlaces = 2 * kLanes;
/// A multiple of the rows that the products' kernels take at a time.
constexpr int kRowStep = 12;

/// `count` things shared out so that `jobs` times the parts keep the threads busy: the size of a
/// part, a multiple of `step`.
int part_size(int count, int jobs, int step) {
  const int wanted = std::max(1, 2 * omp_get_max_threads() / std::max(1, jobs));
  return std::max(step, parts(parts(count, wanted), step) * step);
}

bool is_pointwise(const Window& window) {
  return std::all_of(window.axes.begin(), window.axes.end(), [](const WindowAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad == 0;
  });
}

}  // namespace

UnfoldedConvolution::UnfoldedConvolution(const Convolution& convolution)
    : convolution_(convolution),
      taps_(convolution.window.taps()),
      rows_(all_rows(convolution.window).end) {
  const int places = convolution_.places();
  const int wanted = std::max(kFewPlaces, kPieceFloats / std::max(1, taps_));
  rows_per_piece_ = std::clamp(wanted / row_places(), 1, rows_);
  row_pieces_ = parts(rows_, rows_per_piece_);
  if (places < kFewPlaces) samples_per_piece_ = 2 * kFewPlaces / places;
  sample_pieces_ = parts(convolution_.samples, samples_per_piece_);
}

UnfoldedConvolution::Piece UnfoldedConvolution::piece(int index) const {
  const int sample = index / row_pieces_ * samples_per_piece_;
  const int row = index % row_pieces_ * rows_per_piece_;
  const Rows rows{row, std::min(row + rows_per_piece_, rows_)};
  return {sample, std::min(samples_per_piece_, convolution_.samples - sample), rows,
          (rows.end - rows.begin) * row_places()};
}

/// The columns of some of a group's channels, one sample behind the other.
void UnfoldedConvolution::unfold(const float* maps, int group, const Piece& piece, int channel,
                                 int channels, float* columns, std::ptrdiff_t stride) const {
  if (channels == 0) return;
  Window window = convolution_.window;
  const int picture = window.values();
  const int plane = picture / window.channels;
  window.channels = channels;
  for (int n = 0; n < piece.samples; ++n)
    im2col(maps + (piece.sample + n) * convolution_.map_size() + group * picture + channel * plane,
           window, piece.rows, columns + n * piece.places, stride);
}

/// The rows of a product's columns from or to the results of a piece's samples.
template <typename Visit>
void UnfoldedConvolution::for_each_row(int group, const Piece& piece, int filter, int filters,
                                       const Visit& visit) const {
  for (int n = 0; n < piece.samples; ++n)
    for (int f = 0; f < filters; ++f)
      visit(
          (piece.sample + n) * convolution_.result_size() +
              (std::ptrdiff_t{group} * convolution_.filters + filter + f) * convolution_.places() +
              piece.rows.begin * row_places(),
          f, n * piece.places);
}

void UnfoldedConvolution::forward(const float* maps, const float* weights, const float* bias,
                                  float* results) const {
  const int filters = convolution_.filters;
  const int jobs = pieces() * convolution_.groups;
  const int part = part_size(filters, jobs, kRowStep);
  const int filter_parts = parts(filters, part);
  const std::ptrdiff_t stride = this->stride();
  const std::size_t buffer_size = stride * (taps_ + part);
  float* buffers = scratch(buffer_size * omp_get_max_threads());
  parallel_jobs(jobs * filter_parts, [&](int job, int thread) {
    const Piece piece = this->piece(job / filter_parts / convolution_.groups);
    const int group = job / filter_parts % convolution_.groups;
    const int filter = job % filter_parts * part;
    const int count = std::min(part, filters - filter);
    float* columns = buffers + thread * buffer_size;
    float* rows = columns + stride * taps_;
    unfold(maps, group, piece, 0, convolution_.window.channels, columns, stride);
    const float* biases = bias == nullptr ? nullptr : bias + group * filters + filter;
    for (int f = 0; biases != nullptr && f < count; ++f)
      std::fill_n(rows + f * stride, piece.samples * piece.places, biases[f]);
    kernels().multiply({count, piece.samples * piece.places, taps_,
                        weights + (std::ptrdiff_t{group} * filters + filter) * taps_, taps_, 1,
                        columns, stride, rows, stride, biases != nullptr});
    for_each_row(group, piece, filter, count, [&](std::ptrdiff_t result, int f, int column) {
      std::copy_n(rows + f * stride + column, piece.places, results + result);
    });
  });
}

void UnfoldedConvolution::backward_data(const float* results, const float* weights,
                                        float* maps) const {
  if (taps_ == 0) return;
  const Window& window = convolution_.window;
  const int filters = convolution_.filters;
  const int channels = window.channels;
  const int kernel = taps_ / channels;
  const int plane = window.values() / channels;
  const int jobs = sample_pieces_ * convolution_.groups;
  const int part = part_size(channels, jobs, 1);
  const int channel_parts = parts(channels, part);
  const std::ptrdiff_t stride = this->stride();
  const int step = std::clamp<int>(kPieceFloats / 2 / (stride * kernel), 1, part);
  const std::size_t buffer_size = stride * (filters + step * kernel);
  const bool is_plain = is_pointwise(window) && samples_per_piece_ == 1;
  float* buffers = scratch(buffer_size * omp_get_max_threads());
  parallel_jobs(jobs * channel_parts, [&](int job, int thread) {
    const int group = job / channel_parts % convolution_.groups;
    const int first = job % channel_parts * part;
    const int last = std::min(first + part, channels);
    float* rows = buffers + thread * buffer_size;
    float* columns = rows + stride * filters;
    for (int p = 0; p < row_pieces_; ++p) {
      const Piece piece = this->piece(job / channel_parts / convolution_.groups * row_pieces_ + p);
      for_each_row(group, piece, 0, filters, [&](std::ptrdiff_t result, int f, int column) {
        std::copy_n(results + result, piece.places, rows + f * stride + column);
      });
      for (int channel = first; channel < last; channel += step) {
        Window some = window;
        some.channels = std::min(step, last - channel);
        float* map = maps + piece.sample * convolution_.map_size() +
                     (std::ptrdiff_t{group} * channels + channel) * plane;
        Product product{some.channels * kernel,
                        piece.samples * piece.places,
                        filters,
                        weights + std::ptrdiff_t{group} * filters * taps_ + channel * kernel,
                        1,
                        taps_,
                        rows,
                        stride,
                        columns,
                        stride,
                        false};
        if (is_plain) {
          product.c = map + piece.rows.begin * row_places();
          product.c_row = plane;
          kernels().multiply(product);
          continue;
        }
        kernels().multiply(product);
        for (int n = 0; n < piece.samples; ++n) {
          float* to = map + n * convolution_.map_size();
          if (p == 0) std::fill_n(to, some.channels * plane, 0.0f);
          add_col2im(columns + n * piece.places, stride, some, piece.rows, to);
        }
      }
    }
  });
}

void UnfoldedConvolution::backward_weights(const float* maps, const float* results,
                                           float* weights) const {
  if (taps_ == 0) return;
  const int filters = convolution_.filters;
  const int channels = convolution_.window.channels;
  const int kernel = taps_ / channels;
  const int blocks = parts(filters, kLanes);
  const int batch = static_cast<int>(std::clamp<std::size_t>(
      kBatchFloats / (static_cast<std::size_t>(stride()) * (taps_ + blocks * kLanes)), 1,
      std::max(1, pieces())));
  const std::ptrdiff_t depth_stride = batch * stride() + kLanes;
  const std::size_t columns_size = taps_ * depth_stride;
  const std::size_t block_size = depth_stride * kLanes;
  float* columns = scratch(columns_size + blocks * (block_size + std::size_t{kLanes} * taps_));
  float* turned = columns + columns_size;
  float* sums = turned + blocks * block_size;
  constexpr int kChannelStep = 4;
  constexpr int kTapStep = 4 * kRowStep;
  const int channel_parts = parts(channels, kChannelStep);
  const int tap_parts = parts(taps_, kTapStep);
  for (int group = 0; group < convolution_.groups; ++group) {
    for (int begin = 0; begin < pieces(); begin += batch) {
      const int count = std::min(batch, pieces() - begin);
      std::vector<int> offsets{0};
      for (int i = 0; i < count; ++i) {
        const Piece piece = this->piece(begin + i);
        offsets.push_back(offsets.back() + piece.samples * piece.places);
      }
      // Both factors, the results' gradients with kLanes filters side by side.
      parallel_jobs(count * (channel_parts + blocks), [&](int job, int /*thread*/) {
        const int i = job / (channel_parts + blocks);
        const int part = job % (channel_parts + blocks);
        const Piece piece = this->piece(begin + i);
        if (part < channel_parts) {
          const int channel = part * kChannelStep;
          unfold(maps, group, piece, channel, std::min(kChannelStep, channels - channel),
                 columns + std::ptrdiff_t{channel} * kernel * depth_stride + offsets[i],
                 depth_stride);
          return;
        }
        const int filter = (part - channel_parts) * kLanes;
        for_each_row(group, piece, filter, 1, [&](std::ptrdiff_t result, int, int column) {
          kernels().interleave(
              results + result, convolution_.places(), std::min(kLanes, filters - filter),
              piece.places,
              turned + (part - channel_parts) * block_size + (offsets[i] + column) * kLanes);
        });
      });
      parallel_jobs(blocks * tap_parts, [&](int job, int /*thread*/) {
        const int block = job / tap_parts;
        const int tap = job % tap_parts * kTapStep;
        kernels().multiply(
            {std::min(kTapStep, taps_ - tap), kLanes, offsets.back(), columns + tap * depth_stride,
             depth_stride, 1, turned + block * block_size, kLanes,
             sums + (std::ptrdiff_t{block} * taps_ + tap) * kLanes, kLanes, begin > 0});
      });
    }
    if (pieces() == 0) continue;
    float* to = weights + std::ptrdiff_t{group} * filters * taps_;
    parallel_for(filters, grain_of(taps_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t f = begin; f < end; ++f) {
        const float* from = sums + f / kLanes * taps_ * kLanes + f % kLanes;
        for (int tap = 0; tap < taps_; ++tap) to[f * taps_ + tap] += from[tap * kLanes];
      }
    });
  }
}

}  // namespace vibnet
