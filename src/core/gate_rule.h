#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// One channel of a gate layer, which multiplies each channel by a factor of its own.
struct GateUnit {
  /// What the channel is multiplied by in TEST while it is kept.
  float factor = 1;
  /// The channel is kept while this is below the layer's threshold: the lower, the more it carries.
  float score = 0;
};

/// A unit of an InformationBottleneck. The score is log sigma^2 - log mu^2, the inverse of the
/// signal-to-noise ratio; infinite for a mu of 0.
VIBNET_HOST_DEVICE inline GateUnit bottleneck_unit(float mu, float log_sigma2) {
  if (mu == 0) return {0, std::numeric_limits<float>::infinity()};
  return {mu, log_sigma2 - 2 * std::log(std::fabs(mu))};
}

/// A unit of a HardConcrete. The score is how far log_alpha lies under the value at which the
/// factor comes to 0. In double precision, so that the two agree to the last bit.
VIBNET_HOST_DEVICE inline GateUnit hard_concrete_unit(double left, double right, float log_alpha) {
  const double open = 1 / (1 + std::exp(-double{log_alpha}));
  return {static_cast<float>(std::clamp(open * (right - left) + left, 0.0, 1.0)),
          static_cast<float>(std::log(-left / right) - log_alpha)};
}

/// Where exp() of it is next to nothing.
constexpr float kNoGate = -100;

/// Moves a unit's parameters so that it is kept at a threshold, scoring 1 below it, or makes
/// nothing, in TRAIN neither. Changes none that is kept already.
VIBNET_HOST_DEVICE inline void settle_bottleneck(float threshold, bool kept, float* mu,
                                                 float* log_sigma2) {
  constexpr float kSmallest = 0.01f;  // for a unit that was cut, and shall carry something again
  if (kept && bottleneck_unit(*mu, *log_sigma2).score < threshold) return;
  if (kept && *mu == 0) *mu = kSmallest;
  *log_sigma2 = kept ? 2 * std::log(std::fabs(*mu)) + threshold - 1 : kNoGate;
  if (!kept) *mu = 0;
}
VIBNET_HOST_DEVICE inline void settle_hard_concrete(float left, float right, bool kept,
                                                    float* log_alpha) {
  if (kept && hard_concrete_unit(left, right, *log_alpha).score < 0) return;
  *log_alpha = kept ? std::log(-left / right) + 1 : kNoGate;
}

/// True for the types that learn which channels can go: InformationBottleneck and HardConcrete.
bool is_gate(const std::string& type);

/// How many parameter blobs a gate layer has, each of one value a unit.
int gate_blobs(const std::string& type);

/// The units of a gate layer whose blobs are there.
std::vector<GateUnit> gate_units(const LayerParameter& layer);
/// The same for blobs that stand elsewhere: `units` values each.
std::vector<GateUnit> gate_units(const LayerParameter& layer, int units,
                                 const std::vector<const float*>& blobs);

/// What the layer's own parameter says; 0 for a HardConcrete, whose score is 0 where its factor
/// comes to 0.
float gate_threshold(const LayerParameter& layer);

/// Which of the units are kept at a threshold.
std::vector<bool> kept_units(const std::vector<GateUnit>& units, float threshold);

inline bool keeps_all(const std::vector<bool>& kept) {
  return std::find(kept.begin(), kept.end(), false) == kept.end();
}
inline bool keeps_none(const std::vector<bool>& kept) {
  return std::find(kept.begin(), kept.end(), true) == kept.end();
}

/// Moves the units of a gate layer to the sides of its threshold that `kept` names, those that are
/// not there: kept, a unit scores 1 below the threshold; cut, it makes nothing, in TRAIN neither.
void settle_gate(const LayerParameter& layer, const std::vector<bool>& kept,
                 const std::vector<float*>& blobs);
/// The same for a gate layer whose blobs are there.
void settle_gate(const std::vector<bool>& kept, LayerParameter* layer);

/// Makes units nothing for good, in TRAIN and TEST: without gradient and history, no update of any
/// rule and no decay brings them back. Changes none that is so already.
void shut_units(const LayerParameter& layer, const std::vector<bool>& shut,
                const std::vector<float*>& blobs);

/// Says in the layer's `unit` which of its units stay, and in which order.
void set_gate_numbers(const std::vector<int>& kept, LayerParameter* layer);

}  // namespace vibnet
