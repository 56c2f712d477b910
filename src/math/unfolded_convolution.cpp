#include "math/unfolded_convolution.h"

#include <omp.h>

#include <algorithm>

#include "math/parallel.h"
#include "math/scratch.h"
#include "math/unfolding.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// Pieces that there are at least, for threads to share, where they are of so many places.
constexpr int kPieces = 8;
constexpr int kSharedPlaces = 32;
/// Places of a pointwise convolution that gradients take at a time, and up to how many they take
/// all.
constexpr int kPlainPlaces = 128;
constexpr int kFewPlainPlaces = 256;
/// Places that are rows of a product rather than columns.
constexpr int kFewRows = 2 * kRowStep;
/// Filters for each place from which on a pointwise convolution reads more weights than maps.
constexpr int kFiltersAPlace = 4;
/// Columns below which a product wastes its vectors.
constexpr int kFewPlaces = 2 * kLanes;
/// Places, of all samples, from which on a product repays that its weights are packed for it.
constexpr int kPlacesToPackFor = 256;
/// Weights up to which a second copy of them is no matter.
constexpr std::ptrdiff_t kMostPacked = 1 << 22;

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

std::size_t UnfoldedConvolution::prepared_size() const {
  return convolution_.groups * group_size();
}

void UnfoldedConvolution::prepare(const float* weights, float* prepared) const {
  if (!by_places_) return pack_filters(weights, prepared);
  for (int group = 0; group < convolution_.groups; ++group)
    filters_as_columns().pack(weights + std::ptrdiff_t{group} * convolution_.filters * taps_,
                              prepared + group * group_size());
}

bool UnfoldedConvolution::repays_packing() const {
  return convolution_.samples * convolution_.places() >= kPlacesToPackFor &&
         static_cast<std::ptrdiff_t>(convolution_.weights()) <= kMostPacked;
}

std::size_t UnfoldedConvolution::packed_size(const Filters& filters) const {
  if (filters.are_packed || !repays_packing()) return 0;
  return convolution_.groups * packed_group(convolution_.filters, taps_);
}

UnfoldedConvolution::Filters UnfoldedConvolution::packed(const Filters& filters,
                                                         float* memory) const {
  if (packed_size(filters) == 0) return filters;
  pack_filters(filters.weights, memory);
  return {memory, true};
}

void UnfoldedConvolution::pack_filters(const float* weights, float* packed) const {
  const int filters = convolution_.filters;
  const int blocks = parts(filters, kRowStep);
  parallel_jobs(convolution_.groups * blocks, [&](int job, int /*thread*/) {
    const int first = job % blocks * kRowStep;
    const int count = std::min(kRowStep, filters - first);
    const float* from = weights + (std::ptrdiff_t{job / blocks} * filters + first) * taps_;
    float* to = packed + std::ptrdiff_t{job} * kRowStep * taps_;
    for (int tap = 0; tap < taps_; ++tap)
      for (int f = 0; f < kRowStep; ++f)
        *to++ = f < count ? from[std::ptrdiff_t{f} * taps_ + tap] : 0;
  });
}

void UnfoldedConvolution::set_filters(const Filters& filters, int group, int filter,
                                      Product* product) const {
  if (filters.are_packed) {
    product->a = filters.weights + group * packed_group(convolution_.filters, taps_) +
                 std::ptrdiff_t{filter} * taps_;
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
  const PackedWeights filters = filters_as_columns();
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

int UnfoldedConvolution::part_size(int count, int jobs, int step) {
  const int wanted = std::max(1, 2 * omp_get_max_threads() / std::max(1, jobs));
  return std::max(step, parts(parts(count, wanted), step) * step);
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
  const std::size_t all_columns = columns_size * (unfolds_first ? jobs : threads);
  float* rows = scratch(rows_size * threads + all_columns + packed_size(weights));
  float* columns = rows + rows_size * threads;
  const Filters own_weights = packed(weights, columns + all_columns);
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
    set_filters(own_weights, group, filter, &product);
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
  const Filters own_weights = packed(weights, scratch(packed_size(weights)));
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
    set_filters(own_weights, group, filter, &product);
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

}  // namespace vibnet
