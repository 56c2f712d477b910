#include "core/gate_rule.h"

#include <limits>

namespace vibnet {
namespace {

/// log sigma^2 - log mu^2, the inverse of the signal-to-noise ratio; infinite for a mu of 0.
float bottleneck_score(float mu, float log_sigma2) {
  if (mu == 0) return std::numeric_limits<float>::infinity();
  return log_sigma2 - 2 * std::log(std::fabs(mu));
}

}  // namespace

bool is_gate(const std::string& type) { return type == "InformationBottleneck"; }

std::vector<GateUnit> gate_units(const LayerParameter& layer) {
  std::vector<GateUnit> units;
  for (int c = 0; c < layer.blobs(0).data_size(); ++c) {
    const float mu = layer.blobs(0).data(c);
    units.push_back({mu, bottleneck_score(mu, layer.blobs(1).data(c))});
  }
  return units;
}

float gate_threshold(const LayerParameter& layer) {
  return layer.information_bottleneck_param().threshold();
}

void settle_unit(bool kept, float threshold, float* mu, float* log_sigma2) {
  constexpr float kNoNoise = -100;
  constexpr float kSmallest = 0.01f;  // for a unit that was cut, and shall carry something again
  if (!kept) {
    *mu = 0;
    *log_sigma2 = kNoNoise;
    return;
  }
  if (is_kept(*mu, *log_sigma2, threshold)) return;
  if (*mu == 0) *mu = kSmallest;
  *log_sigma2 = 2 * std::log(std::fabs(*mu)) + threshold - 1;
}

void settle_gate(const std::vector<bool>& kept, LayerParameter* layer) {
  const float threshold = gate_threshold(*layer);
  float* mu = layer->mutable_blobs(0)->mutable_data()->mutable_data();
  float* log_sigma2 = layer->mutable_blobs(1)->mutable_data()->mutable_data();
  for (std::size_t unit = 0; unit < kept.size(); ++unit)
    settle_unit(kept[unit], threshold, mu + unit, log_sigma2 + unit);
}

}  // namespace vibnet
