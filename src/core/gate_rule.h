#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// Whether a bottleneck lets a channel through: log sigma^2 - log mu^2 < threshold. The layer and
/// the compressor both ask here. A mu of 0 is never kept.
inline bool is_kept(float mu, float log_sigma2, float threshold) {
  return mu != 0 && log_sigma2 - 2 * std::log(std::fabs(mu)) < threshold;
}

/// One channel of a gate layer, which multiplies each channel by a factor of its own.
struct GateUnit {
  /// What the channel is multiplied by in TEST while it is kept.
  float factor = 1;
  /// The channel is kept while this is below the layer's threshold: the lower, the more it carries.
  float score = 0;
};

/// True for the types that learn which channels can go: InformationBottleneck.
bool is_gate(const std::string& type);

/// The units of a gate layer whose blobs are there.
std::vector<GateUnit> gate_units(const LayerParameter& layer);

float gate_threshold(const LayerParameter& layer);

/// Moves a bottleneck's unit to the side of the threshold that `kept` names, if it is not there:
/// kept, it scores 1 below the threshold; cut, it makes nothing, in TRAIN neither.
void settle_unit(bool kept, float threshold, float* mu, float* log_sigma2);

/// The same for every unit of a gate layer whose blobs are there.
void settle_gate(const std::vector<bool>& kept, LayerParameter* layer);

}  // namespace vibnet
