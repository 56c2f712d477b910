#pragma once

#include <cstddef>

#include "math/parallel.h"
#include "simd/kernels.h"

namespace vibnet {

/// Weights, outputs x inputs, in panels of kPanel outputs side by side, input by input: as a
/// product reads them whose rows are few. The last panel is filled up with zeros.
class PackedWeights {
 public:
  static constexpr int kPanel = 2 * kLanes;

  PackedWeights(int outputs, int inputs) : outputs_(outputs), inputs_(inputs) {}

  int panels() const { return parts(outputs_, kPanel); }
  /// Outputs of a panel.
  int outputs(int panel) const;
  std::size_t size() const { return panels() * panel_size(); }
  void pack(const float* weights, float* packed) const;

  /// The panel's outputs for some rows of inputs, of which A[r][d] = a[r * a_row + d * a_depth],
  /// where a_row or a_depth is 1: c, whose rows are c_row floats apart. The epilogue is by outputs, all panels'; no residual.
  void multiply(const float* packed, int panel, int rows, const float* a, std::ptrdiff_t a_row,
                std::ptrdiff_t a_depth, const Epilogue& epilogue, float* c,
                std::ptrdiff_t c_row) const;

  /// All outputs of dense rows on all threads, with the same epilogue: y is rows x outputs.
  void multiply(const float* packed, int rows, const float* x, const Epilogue& epilogue,
                float* y) const;

 private:
  std::size_t panel_size() const { return std::size_t{kPanel} * inputs_; }

  int outputs_;
  int inputs_;
};

}  // namespace vibnet
