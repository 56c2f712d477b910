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

void set_gate_numbers(const std::vector<int>& kept, LayerParameter* layer) {
  auto* numbers = layer->mutable_information_bottleneck_param()->mutable_unit();
  const auto old = *numbers;
  numbers->Clear();
  for (const int unit : kept) numbers->Add(old.empty() ? unit : old.Get(unit));
}

}  // namespace vibnet
