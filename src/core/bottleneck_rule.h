#pragma once

#include <cmath>

namespace vibnet {

/// Whether a bottleneck lets a channel through: log sigma^2 - log mu^2 < threshold. The layer and
/// the compressor both ask here. A mu of 0 is never kept.
inline bool is_kept(float mu, float log_sigma2, float threshold) {
  return mu != 0 && log_sigma2 - 2 * std::log(std::fabs(mu)) < threshold;
}

}  // namespace vibnet
