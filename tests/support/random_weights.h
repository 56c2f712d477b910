#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "vibnet.pb.h"

namespace vibnet {

/// What random bottlenecks keep.
struct Masks {
  /// The share of each bottleneck's units that goes; at least one stays.
  double dropped = 0.4;
  /// How much those units come first to be kept that carry something, as training would have it: at
  /// 0 not at all, and in a long row of bottlenecks nothing is left; at 1 always.
  double prefers_living = 0;
  /// The share of mu that is negative, and of those of dropped units that is 0.
  double negative = 0;
  double zero = 0;
  /// Bottlenecks that may lose every unit, and do so now and then.
  std::set<std::string> may_die;
};

/// Weights for a net's TEST phase as training might leave them: filters that make values of size 1
/// of noise, statistics and scales around 1, biases around 0. Parameters that layers share are the
/// same in each.
NetParameter random_weights_with_masks(const NetParameter& model, std::uint32_t seed,
                                       const Masks& masks);

}  // namespace vibnet
