#include "solver/compressed_cost.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/device_scope.h"
#include "core/gate_rule.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

NetParameter copy_gates(const NetParameter& weights) {
  NetParameter gates;
  for (const LayerParameter* gate : gates_of(weights)) *gates.add_layer() = *gate;
  return gates;
}

}  // namespace

CompressedCost::CompressedCost(NetParameter model, const Net& source)
    : model_(std::move(model)), input_shapes_(source_shapes(source)) {}

NetParameter CompressedCost::dense() const { return make_deploy(model_, input_shapes_); }

CompressOptions CompressedCost::options() const {
  CompressOptions options;
  options.input_shapes = input_shapes_;
  return options;
}

CompressedNet CompressedCost::compressed(NetParameter weights) const {
  return compress(model_, std::move(weights), options());
}

UnitPlanner CompressedCost::planner(NetParameter weights) const {
  return UnitPlanner(model_, std::move(weights), options());
}

UnitPlanner::UnitPlanner(const NetParameter& model, NetParameter weights,
                         const CompressOptions& options)
    : gates_(copy_gates(weights)), compressor_(model, std::move(weights), options) {}

Scores UnitPlanner::scores() const {
  Scores scores = unit_scores(gates_);
  for (std::size_t gate = 0; gate < shut_.size(); ++gate)
    for (std::size_t u = 0; u < shut_[gate].size(); ++u)
      if (shut_[gate][u]) scores[gate][u] = std::numeric_limits<float>::quiet_NaN();
  return scores;
}

NetParameter UnitPlanner::plan(const Kept& kept) {
  NetParameter settled = gates_;
  settle_gates(kept, &settled);
  compressor_.set_gates(settled);
  try {
    return compressor_.plan();
  } catch (const Error&) {
    if (keeps_all(kept)) throw;
    return {};
  }
}

NetCost UnitPlanner::cost(const Kept& kept) { return cost_of_deployment(plan(kept)); }

InputShapes source_shapes(const Net& net) {
  InputShapes shapes;
  for (const auto& layer : net.layers()) {
    if (layer->parameter().bottom_size() > 0) continue;
    for (const std::string& top : layer->parameter().top()) shapes[top] = net.blob(top)->shape();
  }
  return shapes;
}

NetCost cost_of_deployment(const NetParameter& deploy) {
  const DeviceScope scope;
  NetOptions options;
  options.fills_parameters = false;
  return deploy.layer_size() == 0 ? NetCost() : cost_of(Net(deploy, options));
}

std::vector<const LayerParameter*> gates_of(const NetParameter& weights) {
  std::vector<const LayerParameter*> gates;
  for (const LayerParameter& layer : weights.layer())
    if (is_gate(layer.type())) gates.push_back(&layer);
  return gates;
}

Kept join_twins(Kept kept, const NetParameter& weights) {
  std::map<std::string, std::vector<std::size_t>> twins;  // by the parameter's name
  const std::vector<const LayerParameter*> gates = gates_of(weights);
  for (std::size_t gate = 0; gate < gates.size(); ++gate)
    if (gates[gate]->param_size() > 0 && !gates[gate]->param(0).name().empty())
      twins[gates[gate]->param(0).name()].push_back(gate);
  for (const auto& [name, members] : twins) {
    std::vector<bool> all = kept[members[0]];
    for (const std::size_t gate : members)
      for (std::size_t u = 0; u < all.size(); ++u) all[u] = all[u] || kept[gate][u];
    for (const std::size_t gate : members) kept[gate] = all;
  }
  return kept;
}

void settle_gates(const Kept& kept, NetParameter* weights) {
  const Kept joined = join_twins(kept, *weights);
  std::size_t gate = 0;
  for (LayerParameter& layer : *weights->mutable_layer())
    if (is_gate(layer.type())) settle_gate(joined[gate++], &layer);
}

Scores unit_scores(const NetParameter& weights) {
  Scores scores;
  for (const LayerParameter* gate : gates_of(weights)) {
    scores.emplace_back();
    for (const GateUnit& unit : gate_units(*gate))
      scores.back().push_back(std::isnan(unit.score) ? HUGE_VALF
                                                     : unit.score - gate_threshold(*gate));
  }
  return scores;
}

Kept kept_units(const NetParameter& weights) {
  Kept kept;
  for (const LayerParameter* gate : gates_of(weights))
    kept.push_back(kept_units(gate_units(*gate), gate_threshold(*gate)));
  return kept;
}

}  // namespace vibnet
