#pragma once

#include <vector>

#include "compress/graph.h"
#include "compress/needs.h"

namespace vibnet {

/// Channels by their numbers in the uncut net, in the order in which a blob holds them.
using Channels = std::vector<int>;

/// Which channels each blob of the cut net holds, and which each layer reads of its bottoms.
struct Layout {
  /// By blob. Empty where no living layer makes it, or it has no channels.
  std::vector<Channels> blobs;
  /// By layer and bottom. Where it differs from the blob's, the channels have to be picked first.
  std::vector<std::vector<Channels>> reads;
};

/// Layers read what their bottoms hold, where less would save no arithmetic and order is nothing to
/// them; else just what they need.
Layout find_layout(const Graph& graph, const Needs& needs);

Channels all_channels(int count);

/// The groups of these inputs, in the order in which they first come.
Channels groups_of(const Channels& inputs, int group_inputs);

/// Whether a SUM's bottoms hold different channels, so that it is made of sums of parts.
bool is_sum_of_parts(const GraphLayer& layer, const std::vector<Channels>& reads);

/// Whether a ShuffleChannel still has its whole bottom in order; else it only renumbers.
bool still_shuffles(const GraphLayer& layer, const Channels& read, int channels);

}  // namespace vibnet
