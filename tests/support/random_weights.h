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
  /// From 0, each bottleneck draws for itself, to 1, those with equally many units drop the same.
  double alike = 0;
  /// The share of mu that is negative, and of that which is 0 (whose units go too).
  double negative = 0;
  double zero = 0;
  /// Bottlenecks that may lose every unit, and do so now and then.
  std::set<std::string> may_die;
};

/// Weights for a net's TEST phase as training might leave them: filters of a size that keeps the
/// values of deep nets within bounds, statistics and scales around 1, biases around 0. Parameters
/// that layers share are the same in each.
NetParameter random_weights_with_masks(const NetParameter& model, std::uint32_t seed,
                                       const Masks& masks);

}  // namespace vibnet
