#pragma once

#include <cstdint>
#include <vector>

#include "compress/constants.h"
#include "compress/graph.h"

namespace vibnet {

/// What a channel is needed for by those who read it.
enum class Need : std::uint8_t {
  NONE,
  ANY,   // its place, whatever finite value stands there
  VALUE  // its value
};

using ChannelNeeds = std::vector<Need>;

struct Needs {
  /// By blob.
  std::vector<ChannelNeeds> blobs;
  /// By layer and bottom: what this layer needs of it.
  std::vector<std::vector<ChannelNeeds>> edges;
  /// By layer: whether anything needs it.
  std::vector<bool> living;
};

/// Walks from the outputs and heads back to the inputs. Constants that a layer's weights or bias
/// can take in are not needed, nor is what only dead channels are made of.
Needs find_needs(const Graph& graph, const std::vector<Constants>& constants);

/// Whether a MIX layer's bias can stand for the constant.
bool folds_into_bias(const Graph& graph, const std::vector<Constants>& constants, int layer,
                     int channel);

/// Whether an output of a MIX layer must be computed: its value is needed, and is no constant.
bool is_live(const Graph& graph, const std::vector<Constants>& constants, const Needs& needs,
             int layer, int output);

}  // namespace vibnet
