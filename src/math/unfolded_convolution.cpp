#include "math/unfolded_convolution.h"

#include <omp.h>

#include <algorithm>
#include <functional>

#include "math/parallel.h"
#include "math/scratch.h"
#include "math/unfolding.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// Floats of unfolded map that a core's cache holds, next to the rest.
constexpr int kPieceFloats = 1 << 16;
/// Pieces that there are at least, for threads to share, where they are of so many places.
constexpr int kPieces = 8;
constexpr int kSharedPlaces = 32;
/// About how many sums of weight gradients are made side by side, of so many taps or channels.
constexpr int kSums = 16;
constexpr int kTapStep = 48;
constexpr int kChannelStep = 4;
/// Places of a pointwise convolution that gradients take at a time, and up to how many they take
/// all.
constexpr int kPlainPlaces = 128;
constexpr int kFewPlainPlaces = 256;
/// Places that are rows of a product rather than columns.
constexpr int kFewRows = 2 * kRowStep;
/// Filters that are columns of a product side by side.
constexpr int kPanel = PackedWeights::kPanel;
/// Filters for each place from which on a pointwise convolution reads more weights than maps.
constexpr int kFiltersAPlace = 4;
/// Columns below which a product wastes its vectors.
constexpr int kFewPlaces = 2 * kLanes;

/// `count` things shared out so that `jobs` times the parts keep the threads busy: the size of a
/// part, a multiple of `step`.
int part_size(int count, int jobs, int step) {
  const int wanted = std::max(1, 2 * omp_get_max_threads() / std::max(1, jobs));
  return std::max(step, parts(parts(count, wanted), step) * step);
}

/// Whether the products of a pointwise convolution leave fewer lanes empty where the places are
/// rows and the filters columns, what it costs to turn the results about counted.
bool fills_more_by_places(const Convolution& c) {
  constexpr double kWorthIt = 0.9;
  constexpr double kTurn = 16;   // multiply-adds of a result
  constexpr int kLeastRows = 4;  // as fewer take no less time
  const int places = c.places();
  const int left = places % kRowStep;
  const int rows = places - left + (left == 0 ? 0 : std::max(left, kLeastRows));
  return double{1} * rows * round_up_to_lanes(c.filters) * (1 + kTurn / c.window.taps()) <
         kWorthIt * parts(c.filters, kRowStep) * kRowStep * round_up_to_lanes(places);
}

}  // namespace

UnfoldedConvolution::UnfoldedConvolution(const Convolution& convolution)
    : convolution_(convolution),
      taps_(convolution.window.taps()),
      rows_(all_rows(convolution.window).end) {
  const int places = convolution_.places();
  if (places < kFewPlaces) samples_per_piece_ = 2 * kFewPlaces / places;
  is_plain_ = convolution_.window.is_pointwise() && is_direct();
  if (is_plain_) {
    rows_ = places;
    rows_per_piece_ = places <= kFewPlainPlaces ? places : kPlainPlaces;
  } else {
    const int fitting = kPieceFloats / std::max({1, taps_, convolution_.filters});
    const int shared = std::max(kSharedPlaces, parts(places * convolution_.samples, kPieces));
    rows_per_piece_ =
        std::clamp(std::max(kFewPlaces, std::min(fitting, shared)) / row_places(), 1, rows_);
  }
  row_pieces_ = parts(rows_, rows_per_piece_);
  sample_pieces_ = parts(convolution_.samples, samples_per_piece_);
  by_places_ = is_plain_ ? row_pieces_ == 1 && fills_more_by_places(convolution_)
                         : pieces() == 1 && convolution_.samples * places <= kFewRows;
}

UnfoldedConvolution::Piece UnfoldedConvolution::piece(int index) const {
  const int sample = index / row_pieces_ * samples_per_piece_;
  const int row = index % row_pieces_ * rows_per_piece_;
  const Rows rows{row, std::min(row + rows_per_piece_, rows_)};
  return {sample, std::min(samples_per_piece_, convolution_.samples - sample), rows,
          (rows.end - rows.begin) * row_places()};
}

/// The columns of some of a group's channels, one sample behind the other. Up to kLanes floats
/// behind each sample's are written.
void UnfoldedConvolution::unfold(const float* maps, int group, const Piece& piece, int channel,
                                 int channels, float* columns, std::ptrdiff_t stride) const {
  if (channels == 0) return;
  Window window = convolution_.window;
  const int picture = window.values();
  const int plane = picture / window.channels;
  window.channels = channels;
  const Unfolding unfolding(window, piece.rows);
  for (int n = 0; n < piece.samples; ++n)
    unfolding.unfold(
        maps + (piece.sample + n) * convolution_.map_size() + group * picture + channel * plane,
        columns + n * piece.places, stride);
}

/// The rows of a product's columns from or to the results of a piece's samples.
template <typename Visit>
void UnfoldedConvolution::for_each_row(int group, const Piece& piece, int filter, int filters,
                                       const Visit& visit) const {
  for (int n = 0; n < piece.samples; ++n)
    for (int f = 0; f < filters; ++f)
      visit(result_at(group, piece, filter + f) + n * convolution_.result_size(), f,
            n * piece.places);
}

std::size_t UnfoldedConvolution::prepared_size() const {
  return convolution_.groups * group_size();
}

/// kRowStep filters side by side, tap by tap, so that multiply reads them one behind the other.
void UnfoldedConvolution::prepare(const float* weights, float* prepared) const {
  const int filters = convolution_.filters;
  for (int group = 0; by_places_ && group < convolution_.groups; ++group)
    packed_filters().pack(weights + std::ptrdiff_t{group} * filters * taps_,
                          prepared + group * group_size());
  if (by_places_) return;
  std::fill_n(prepared, prepared_size(), 0.0f);
  for (int group = 0; group < convolution_.groups; ++group, prepared += group_size())
    for (int filter = 0; filter < filters; ++filter, weights += taps_) {
      float* to =
          prepared + filter / kRowStep * kRowStep * std::ptrdiff_t{taps_} + filter % kRowStep;
      for (int tap = 0; tap < taps_; ++tap) to[tap * kRowStep] = weights[tap];
    }
}

void UnfoldedConvolution::set_filters(const Filters& filters, int group, int filter,
                                      Product* product) const {
  if (filters.are_prepared) {
    product->a = filters.weights + group * group_size() + std::ptrdiff_t{filter} * taps_;
    product->a_row = 1;
    product->a_depth = kRowStep;
    product->a_step = std::ptrdiff_t{kRowStep} * taps_;
  } else {
    product->a = filters.weights + (std::ptrdiff_t{group} * convolution_.filters + filter) * taps_;
    product->a_row = taps_;
    product->a_depth = 1;
  }
}

void UnfoldedConvolution::forward(const float* maps, const float* weights, const Epilogue& epilogue,
                                  float* results) const {
  forward(maps, Filters{weights, false}, epilogue, results);
}

void UnfoldedConvolution::forward_prepared(const float* maps, const float* prepared,
                                           const Epilogue& epilogue, float* results) const {
  if (by_places_) return forward_by_places(maps, prepared, epilogue, results);
  forward(maps, Filters{prepared, true}, epilogue, results);
}

/// The places are the rows of a product, and the filters its columns.
void UnfoldedConvolution::forward_by_places(const float* maps, const float* prepared,
                                            const Epilogue& epilogue, float* results) const {
  const PackedWeights filters = packed_filters();
  const Piece whole = piece(0);
  const int jobs = pieces() * convolution_.groups;
  const std::size_t columns_size = is_plain_ ? 0 : stride() * taps_;
  const std::size_t sums_size = std::size_t{kPanel} * whole.samples * whole.places;
  float* columns = scratch(columns_size * jobs + sums_size * omp_get_max_threads());
  float* sums = columns + columns_size * jobs;
  if (!is_plain_) unfold_all(maps, columns, columns_size);
  parallel_jobs(jobs * filters.panels(), [&](int job, int thread) {
    const int panel = job % filters.panels();
    const int group = job / filters.panels() % convolution_.groups;
    const Piece piece = this->piece(job / filters.panels() / convolution_.groups);
    const float* own_columns =
        is_plain_ ? maps + map_at(group, piece) : columns + job / filters.panels() * columns_size;
    float* own = sums + thread * sums_size;
    filters.multiply(prepared + group * group_size(), panel, piece.samples * piece.places,
                     own_columns, 1, is_plain_ ? piece.places : stride(), {}, own, kPanel);
    const int filter = panel * kPanel;
    for (int n = 0; n < piece.samples; ++n) {
      const std::ptrdiff_t at = n * convolution_.result_size() + result_at(group, piece, filter);
      kernels().deinterleave(own + n * piece.places * kPanel, kPanel, piece.places,
                             epilogue.from(group * convolution_.filters + filter, at), results + at,
                             piece.places, filters.outputs(panel));
    }
  });
}

void UnfoldedConvolution::forward(const float* maps, const Filters& weights,
                                  const Epilogue& epilogue, float* results) const {
  if (is_plain_) return forward_plain(maps, weights, epilogue, results);
  const int filters = convolution_.filters;
  const int jobs = pieces() * convolution_.groups;
  const int part = part_size(filters, jobs, kRowStep);
  const int filter_parts = parts(filters, part);
  const int threads = omp_get_max_threads();
  const std::size_t columns_size = stride() * taps_;
  const std::size_t rows_size = is_direct() ? 0 : stride() * part;
  const bool unfolds_first = filter_parts > 1;
  float* rows = scratch(rows_size * threads + columns_size * (unfolds_first ? jobs : threads));
  float* columns = rows + rows_size * threads;
  if (unfolds_first) unfold_all(maps, columns, columns_size);
  parallel_jobs(jobs * filter_parts, [&](int job, int thread) {
    const int whole = job / filter_parts;
    const Piece piece = this->piece(whole / convolution_.groups);
    const int group = whole % convolution_.groups;
    const int filter = job % filter_parts * part;
    const int count = std::min(part, filters - filter);
    const int channel = group * filters + filter;
    float* own_columns = columns + (unfolds_first ? whole : thread) * columns_size;
    float* own_rows = rows + thread * rows_size;
    Product product{count,       piece.samples * piece.places,
                    taps_,       nullptr,
                    0,           0,
                    own_columns, stride(),
                    own_rows,    stride(),
                    false};
    set_filters(weights, group, filter, &product);
    if (!unfolds_first)
      unfold(maps, group, piece, 0, convolution_.window.channels, own_columns, stride());
    if (is_direct()) {
      const std::ptrdiff_t at = result_at(group, piece, filter);
      product.c = results + at;
      product.c_row = convolution_.places();
      product.epilogue = epilogue.from(channel, at);
    }
    kernels().multiply(product);
    if (is_direct()) return;
    for_each_row(group, piece, filter, count, [&](std::ptrdiff_t result, int f, int column) {
      const Epilogue own = epilogue.from(channel + f, result);
      const float* from = own_rows + f * stride() + column;
      for (int i = 0; i < piece.places; ++i) results[result + i] = own.of(0, from[i], i);
    });
  });
}

/// The maps are the columns as they stand. Threads share the places of an image rather than the
/// filters, so that each reads what it has just written itself; unless the weights are by far the
/// most to read. Places that they cannot share evenly they share by filters.
void UnfoldedConvolution::forward_plain(const float* maps, const Filters& weights,
                                        const Epilogue& epilogue, float* results) const {
  const int filters = convolution_.filters;
  const int places = convolution_.places();
  const int images = convolution_.samples * convolution_.groups;
  const auto multiply = [&](int image, int place, int columns, int filter, int rows) {
    if (columns <= 0 || rows <= 0) return;
    const int group = image % convolution_.groups;
    const std::ptrdiff_t at = (std::ptrdiff_t{image} * filters + filter) * places + place;
    Product product{rows,
                    columns,
                    taps_,
                    nullptr,
                    0,
                    0,
                    maps + std::ptrdiff_t{image} * taps_ * places + place,
                    places,
                    results + at,
                    places,
                    false,
                    epilogue.from(group * filters + filter, at)};
    set_filters(weights, group, filter, &product);
    kernels().multiply(product);
  };
  const int sharers = parts(omp_get_max_threads(), std::max(1, images));
  const bool share_places = sharers == 1 || filters < kFiltersAPlace * places;
  const int own = share_places ? parts(places, kPanel) / sharers * kPanel : 0;
  const int part = parts(parts(filters, kRowStep), sharers) * kRowStep;
  parallel_jobs(images * sharers, [&](int job, int /*thread*/) {
    const int image = job / sharers;
    const int sharer = job % sharers;
    multiply(image, sharer * own, std::min(own, places - sharer * own), 0, filters);
    multiply(image, sharers * own, places - sharers * own, sharer * part,
             std::min(part, filters - sharer * part));
  });
}

/// The columns of all pieces and groups, on all threads.
void UnfoldedConvolution::unfold_all(const float* maps, float* columns,
                                     std::size_t columns_size) const {
  const int channels = convolution_.window.channels;
  const int jobs = pieces() * convolution_.groups;
  const int part = part_size(channels, jobs, 1);
  const int channel_parts = parts(channels, part);
  parallel_jobs(jobs * channel_parts, [&](int job, int /*thread*/) {
    const int whole = job / channel_parts;
    const int channel = job % channel_parts * part;
    unfold(maps, whole % convolution_.groups, piece(whole / convolution_.groups), channel,
           std::min(part, channels - channel),
           columns + whole * columns_size + channel * (taps_ / channels) * stride(), stride());
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
  const int step = std::clamp<int>(kPieceFloats / 2 / (stride() * kernel), 1, part);
  const std::size_t rows_size = is_direct() ? 0 : stride() * filters;
  const std::size_t buffer_size = rows_size + (is_plain_ ? 0 : stride() * step * kernel);
  float* buffers = scratch(buffer_size * omp_get_max_threads());
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
    step_ = std::min(channels(), std::max(kChannelStep, kTapStep / kernel()));
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
