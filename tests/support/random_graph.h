#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "vibnet.pb.h"

namespace vibnet {

/// A drawn net with bottlenecks, small enough that thousands run in a minute or two.
struct RandomGraph {
  std::string prototxt;
  /// Bottlenecks on branches, which may lose every unit.
  std::set<std::string> may_die;
};

/// Draws a net of one to three inputs and outputs, some of them losses: convolutions of all kinds,
/// what stands around them, residual blocks, concatenations, slices, shuffles, squeeze and
/// excitation, twins with shared parameters, and layers that mix channels in unusual ways. Every
/// net builds, and its values stay within bounds with random_graph_weights.
RandomGraph random_graph(std::uint32_t seed);

/// Weights for its TEST phase: values of a lively size, statistics and masks at random. Between 10
/// and 90 % of the units are dropped, never all of a bottleneck that is not in may_die.
NetParameter random_graph_weights(const RandomGraph& graph, std::uint32_t seed);

}  // namespace vibnet
