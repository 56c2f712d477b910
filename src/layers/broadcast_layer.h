#pragma once

#include <cstdint>

#include "math/parallel.h"
#include "vibnet/layer.h"

namespace vibnet {

/// What Scale and Bias share: an operand, second bottom or parameter, whose axes are those of x
/// from an axis on, and which is broadcast over x's others. x is outer x operands x inner values; a
/// row is `inner` of them.
class BroadcastLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {1, 2}; }
  bool runs_in_place() const override { return true; }

 protected:
  /// The shape of an operand that is a parameter: num_axes of x's axes, or all of them for -1.
  Shape operand_shape(const Blob& x, int axis, int num_axes) const;
  /// Finds outer, operands and inner. `what` names the operand in the Error where it does not fit.
  void place(const Blob& x, const Blob& operand, int axis, const char* what);

  std::int64_t rows() const { return std::int64_t{outer_} * operands_; }

  /// Calls body(operand, begin, end) for each row, with where its values begin and end.
  template <typename Body>
  void for_each_row(const Body& body) const {
    parallel_for(rows(), grain_of(inner_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        body(row % operands_, row * inner_, (row + 1) * inner_);
    });
  }

  /// Adds to sums[operand] the terms term(i) of all its values.
  template <typename Term>
  void add_sums(const Term& term, float* sums) const {
    const std::int64_t values = std::int64_t{outer_} * inner_;
    parallel_for(operands_, grain_of(values), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t operand = begin; operand < end; ++operand) {
        double sum = 0;
        for (std::int64_t row = operand; row < rows(); row += operands_) {
          float row_sum = 0;
#pragma omp simd reduction(+ : row_sum)
          for (std::int64_t i = row * inner_; i < (row + 1) * inner_; ++i) row_sum += term(i);
          sum += row_sum;
        }
        sums[operand] += static_cast<float>(sum);
      }
    });
  }

 private:
  int outer_ = 0;
  int operands_ = 0;
  int inner_ = 0;
};

}  // namespace vibnet
