#include <omp.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "math/parallel.h"
#include "math/scratch.h"
#include "math/unfolded_convolution.h"
#include "math/unfolding.h"
#include "simd/kernels.h"

// The gradients of UnfoldedConvolution.

namespace vibnet {
namespace {

/// About how many sums of weight gradients are made side by side, of so many taps or channels; of
/// fewer taps where there are few pieces.
constexpr int kSums = 16;
constexpr int kTapStep = 192;
constexpr int kFewTapStep = 48;
constexpr int kChannelStep = 4;

}  // namespace

void UnfoldedConvolution::pack_taps(const float* weights, float* packed) const {
  const int filters = convolution_.filters;
  const int blocks = parts(taps_, kRowStep);
  parallel_jobs(convolution_.groups * blocks, [&](int job, int /*thread*/) {
    const int first = job % blocks * kRowStep;
    const int count = std::min(kRowStep, taps_ - first);
    const float* from = weights + std::ptrdiff_t{job / blocks} * filters * taps_ + first;
    float* to = packed + std::ptrdiff_t{job} * kRowStep * filters;
    for (int f = 0; f < filters; ++f, from += taps_)
      for (int tap = 0; tap < kRowStep; ++tap) *to++ = tap < count ? from[tap] : 0;
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
  // As many channels as have whole steps of rows, which is where packed ones can begin.
  const int steps = kRowStep / std::gcd(kRowStep, kernel);
  const bool packs = repays_packing() && channels >= 2 * steps;
  const int whole = packs ? steps : 1;
  const int part = part_size(channels, jobs, whole);
  const int channel_parts = parts(channels, part);
  const int fitting = static_cast<int>(kPieceFloats / 2 / (stride() * kernel));
  const int step = std::clamp(fitting / whole * whole, whole, part);
  const std::size_t rows_size = is_direct() ? 0 : stride() * filters;
  const std::size_t buffer_size = rows_size + (is_plain_ ? 0 : stride() * step * kernel);
  const std::ptrdiff_t group_size = packs ? packed_group(taps_, filters) : 0;
  float* buffers = scratch(buffer_size * omp_get_max_threads() + convolution_.groups * group_size);
  float* packed = buffers + buffer_size * omp_get_max_threads();
  if (packs) pack_taps(weights, packed);
  parallel_jobs(jobs * channel_parts, [&](int job, int thread) {
    const int group = job / channel_parts % convolution_.groups;
    const int first = job % channel_parts * part;
    const int last = std::min(first + part, channels);
    float* rows = buffers + thread * buffer_size;
    float* columns = rows + rows_size;
    for (int p = 0; p < row_pieces_; ++p) {
      const Piece piece = this->piece(job / channel_parts / convolution_.groups * row_pieces_ + p);
      if (!is_direct())
        for_each_row(group, piece, 0, filters, [&](std::ptrdiff_t result, int f, int column) {
          std::copy_n(results + result, piece.places, rows + f * stride() + column);
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
                        stride(),
                        columns,
                        stride(),
                        false};
        if (packs) {
          product.a = packed + group * group_size + std::ptrdiff_t{channel} * kernel * filters;
          product.a_depth = kRowStep;
          product.a_step = std::ptrdiff_t{kRowStep} * filters;
        }
        if (is_direct()) {
          product.b = results + result_at(group, piece, 0);
          product.b_depth = convolution_.places();
        }
        if (is_plain_) {
          product.c = map + piece.rows.begin * row_places();
          product.c_row = plane;
          kernels().multiply(product);
          continue;
        }
        kernels().multiply(product);
        const Unfolding unfolding(some, piece.rows);
        for (int n = 0; n < piece.samples; ++n) {
          float* to = map + n * convolution_.map_size();
          if (p == 0) std::fill_n(to, some.channels * plane, 0.0f);
          unfolding.fold(columns + n * piece.places, stride(), to);
        }
      }
    }
  });
}

/// The gradient by the weights. Each thread takes channels of its own, of some pieces, and sums
/// them for all filters; how they are shared out does not depend on the number of threads.
class UnfoldedConvolution::WeightGradient {
 public:
  WeightGradient(const UnfoldedConvolution& unfolded, const float* maps, const float* results)
      : unfolded_(unfolded), c_(unfolded.convolution_), maps_(maps), results_(results) {
    const int pieces = unfolded.pieces();
    channel_parts_ = parts_of(kTapStep);
    if (pieces * all_parts() < kSums) channel_parts_ = parts_of(kFewTapStep);
    step_ = parts(channels(), channel_parts_);
    channel_parts_ = parts(channels(), step_);
    share_ = parts(pieces, std::max(1, kSums / all_parts()));
    shares_ = parts(pieces, share_);
    batch_ = static_cast<int>(std::clamp<std::ptrdiff_t>(
        2 * kPieceFloats / (unfolded.stride() * (taps() + blocks() * kPanel)), 1,
        unfolded.is_plain_ ? 1 : share_));
    depth_stride_ = batch_ * unfolded.stride() + kLanes;
  }

  void sum_to(bool adds, float* weights) const {
    const int jobs = shares_ * all_parts();
    const std::size_t own_size = columns_size() + turned_size();
    float* sums = scratch(jobs * sums_size() + own_size * omp_get_max_threads());
    float* buffers = sums + jobs * sums_size();
    parallel_jobs(jobs, [&](int job, int thread) {
      sum(job, buffers + thread * own_size, sums + job * sums_size());
    });
    parallel_jobs(all_parts(),
                  [&](int part, int /*thread*/) { give_part(part, sums, adds, weights); });
  }

 private:
  int channels() const { return c_.window.channels; }
  int kernel() const { return unfolded_.taps_ / channels(); }
  /// Of all channels, where so many taps are a part.
  int parts_of(int taps) const {
    return parts(channels(), std::max(kChannelStep, taps / kernel()));
  }
  int all_parts() const { return c_.groups * channel_parts_; }
  /// Of a part's channels.
  int taps() const { return step_ * kernel(); }
  int blocks() const { return parts(c_.filters, kPanel); }
  int filters_of(int block) const { return std::min(kPanel, c_.filters - block * kPanel); }
  int group_of(int part) const { return part / channel_parts_; }
  int channel_of(int part) const { return part % channel_parts_ * step_; }
  int channels_of(int part) const { return std::min(step_, channels() - channel_of(part)); }
  std::size_t columns_size() const { return unfolded_.is_plain_ ? 0 : taps() * depth_stride_; }
  std::size_t turned_size() const { return blocks() * depth_stride_ * kPanel; }
  std::size_t sums_size() const { return std::size_t{1} * blocks() * taps() * kPanel; }

  /// A part's channels unfolded, and the results place by place, kPanel filters each, from `depth`
  /// on.
  void load(int part, const Piece& piece, int depth, float* columns, float* turned) const {
    if (!unfolded_.is_plain_)
      unfolded_.unfold(maps_, group_of(part), piece, channel_of(part), channels_of(part),
                       columns + depth, depth_stride_);
    for (int block = 0; block < blocks(); ++block)
      unfolded_.for_each_row(
          group_of(part), piece, block * kPanel, 1, [&](std::ptrdiff_t result, int, int place) {
            kernels().interleave(results_ + result, c_.places(), filters_of(block), piece.places,
                                 turned + (block * depth_stride_ + depth + place) * kPanel, kPanel);
          });
  }

  void sum(int job, float* columns, float* sums) const {
    const int part = job % all_parts();
    float* turned = columns + columns_size();
    const int first = job / all_parts() * share_;
    const int last = std::min(first + share_, unfolded_.pieces());
    for (int begin = first; begin < last; begin += batch_) {
      int depth = 0;
      for (int i = begin; i < std::min(begin + batch_, last); ++i) {
        const Piece piece = unfolded_.piece(i);
        load(part, piece, depth, columns, turned);
        depth += piece.samples * piece.places;
      }
      Product product{channels_of(part) * kernel(),
                      kPanel,
                      depth,
                      columns,
                      depth_stride_,
                      1,
                      turned,
                      kPanel,
                      sums,
                      kPanel,
                      begin > first};
      if (unfolded_.is_plain_) {
        product.a = maps_ + unfolded_.map_at(group_of(part), unfolded_.piece(begin)) +
                    channel_of(part) * c_.places();
        product.a_row = c_.places();
      }
      for (int block = 0; block < blocks(); ++block) {
        product.columns = round_up_to_lanes(filters_of(block));
        kernels().multiply(product);
        product.b += depth_stride_ * kPanel;
        product.c += taps() * kPanel;
      }
    }
  }

  /// All shares' sums of a part's channels.
  void give_part(int part, float* sums, bool adds, float* weights) const {
    float* total = sums + part * sums_size();
    for (int s = 1; s < shares_; ++s)
      std::transform(total, total + sums_size(), total + s * all_parts() * sums_size(), total,
                     std::plus<>());
    const int count = channels_of(part) * kernel();
    for (int f = 0; f < c_.filters; ++f) {
      const float* from = total + f / kPanel * taps() * kPanel + f % kPanel;
      float* to = weights + (std::ptrdiff_t{group_of(part)} * c_.filters + f) * unfolded_.taps_ +
                  channel_of(part) * kernel();
      for (int tap = 0; tap < count; ++tap) to[tap] = (adds ? to[tap] : 0) + from[tap * kPanel];
    }
  }

  const UnfoldedConvolution& unfolded_;
  const Convolution& c_;
  const float* maps_;
  const float* results_;
  /// Channels of a part, and pieces of a share.
  int step_;
  int channel_parts_;
  int share_;
  int shares_;
  /// Pieces that one product is of.
  int batch_;
  std::ptrdiff_t depth_stride_;
};

void UnfoldedConvolution::backward_weights(const float* maps, const float* results, bool adds,
                                           float* weights) const {
  if (taps_ > 0 && pieces() > 0) return WeightGradient(*this, maps, results).sum_to(adds, weights);
  if (!adds) std::fill_n(weights, convolution_.weights(), 0.0f);
}

}  // namespace vibnet
