#pragma once

#include <cstdint>

namespace vibnet {

/// The bins of an SPP level along one axis: windows of `kernel` values, side by side.
struct SPPBins {
  std::int64_t kernel;
  std::int64_t pad;
};

/// Covers an axis of `size` values with 2^level bins; as much lies before the plane as behind it.
inline SPPBins spp_bins(std::int64_t size, int level) {
  const std::int64_t bins = std::int64_t{1} << level;
  const std::int64_t kernel = (size - 1) / bins + 1;
  return {kernel, (kernel * bins - size + 1) / 2};
}

}  // namespace vibnet
