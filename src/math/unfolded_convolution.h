#pragma once

#include "math/convolution.h"
#include "math/packed_weights.h"
#include "math/parallel.h"
#include "simd/kernels.h"

namespace vibnet {

/// Any convolution as products with the unfolded maps, of which only as much as the caches hold is
/// there at a time.
class UnfoldedConvolution : public ConvolutionKernel {
 public:
  explicit UnfoldedConvolution(const Convolution& convolution);

  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override;
  std::size_t prepared_size() const override;
  void prepare(const float* weights, float* prepared) const override;
  void forward_prepared(const float* maps, const float* prepared, const Epilogue& epilogue,
                        float* results) const override;
  void backward_data(const float* results, const float* weights, float* maps) const override;
  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override;

 private:
  class WeightGradient;

  /// Floats of unfolded map that a core's cache holds, next to the rest.
  static constexpr int kPieceFloats = 1 << 16;
  /// Filters that are columns of a product side by side.
  static constexpr int kPanel = PackedWeights::kPanel;

  /// Places that are unfolded together: rows of one sample, or all of some samples.
  struct Piece {
    int sample;
    int samples;
    Rows rows;
    int places;
  };

  /// Weights as they are, or kRowStep filters side by side, tap by tap, so that multiply reads them
  /// one behind the other.
  struct Filters {
    const float* weights;
    bool are_packed;
  };

  Piece piece(int index) const;
  /// Floats of a group's prepared filters.
  std::ptrdiff_t group_size() const {
    return by_places_ ? filters_as_columns().size() : packed_group(convolution_.filters, taps_);
  }
  PackedWeights filters_as_columns() const { return {convolution_.filters, taps_}; }
  /// Floats of so many rows packed for multiply, of so many terms each.
  static std::ptrdiff_t packed_group(int rows, int terms) {
    return std::ptrdiff_t{parts(rows, kRowStep)} * kRowStep * terms;
  }
  bool repays_packing() const;
  /// Floats that packed() needs: 0 where the filters stay as they are.
  std::size_t packed_size(const Filters& filters) const;
  Filters packed(const Filters& filters, float* memory) const;
  void pack_filters(const float* weights, float* packed) const;
  /// kRowStep taps side by side, filter by filter.
  void pack_taps(const float* weights, float* packed) const;
  void forward_by_places(const float* maps, const float* prepared, const Epilogue& epilogue,
                         float* results) const;
  void set_filters(const Filters& filters, int group, int filter, Product* product) const;
  void forward(const float* maps, const Filters& filters, const Epilogue& epilogue,
               float* results) const;
  void forward_plain(const float* maps, const Filters& filters, const Epilogue& epilogue,
                     float* results) const;
  /// The rows of a product's columns from or to the results of a piece's samples.
  template <typename Visit>
  void for_each_row(int group, const Piece& piece, int filter, int filters,
                    const Visit& visit) const {
    for (int n = 0; n < piece.samples; ++n)
      for (int f = 0; f < filters; ++f)
        visit(result_at(group, piece, filter + f) + n * convolution_.result_size(), f,
              n * piece.places);
  }
  /// Whether results are read and written where they stand, and so are a pointwise window's maps.
  bool is_direct() const { return samples_per_piece_ == 1; }
  std::ptrdiff_t map_at(int group, const Piece& piece) const {
    return piece.sample * convolution_.map_size() +
           std::ptrdiff_t{group} * convolution_.window.values() + piece.rows.begin * row_places();
  }
  std::ptrdiff_t result_at(int group, const Piece& piece, int filter) const {
    return piece.sample * convolution_.result_size() +
           (std::ptrdiff_t{group} * convolution_.filters + filter) * convolution_.places() +
           piece.rows.begin * row_places();
  }
  int pieces() const { return sample_pieces_ * row_pieces_; }
  int row_places() const { return convolution_.places() / rows_; }
  /// Floats from one row of a piece's columns to the next, with room behind them.
  std::ptrdiff_t stride() const {
    return round_up_to_lanes(samples_per_piece_ * rows_per_piece_ * row_places()) + kLanes;
  }
  /// `count` things shared out so that `jobs` times the parts keep the threads busy: the size of a
  /// part, a multiple of `step`.
  static int part_size(int count, int jobs, int step);
  void unfold_all(const float* maps, float* columns, std::size_t columns_size) const;
  void unfold(const float* maps, int group, const Piece& piece, int channel, int channels,
              float* columns, std::ptrdiff_t stride) const;

  const Convolution convolution_;
  const int taps_;
  /// Of places; where nothing is unfolded, a place is one.
  int rows_;
  /// Whether the maps are the columns as they stand.
  bool is_plain_ = false;
  /// Whether the prepared filters are the columns of the product, and the places its rows: where
  /// places are few, or do not fill vectors.
  bool by_places_ = false;
  int samples_per_piece_ = 1;
  int rows_per_piece_ = 1;
  int sample_pieces_ = 1;
  int row_pieces_ = 1;
};

}  // namespace vibnet
