#include "solver/compaction.h"

#include <algorithm>
#include <utility>

#include "compress/cut.h"
#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "solver/compressed_cost.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

bool is_dead(const std::vector<bool>& living) {
  return std::none_of(living.begin(), living.end(), [](bool lives) { return lives; });
}

/// Of a net in training, what can be cut, where so many units live.
struct Cut {
  Graph graph;
  LivingUnits living;
  Plan plan;

  std::map<std::string, std::vector<int>> kept() const {
    std::map<std::string, std::vector<int>> kept;
    for (std::size_t l = 0; l < graph.layers.size(); ++l) {
      const std::string& name = graph.layers[l].parameter.name();
      if (plan.needs.living[l] && living.count(name) > 0) kept[name] = plan.layout.reads[l][0];
    }
    return kept;
  }
};

/// Takes the best unit of each wholly dead gate for living.
void revive(const Graph& graph, LivingUnits* living) {
  for (const GraphLayer& layer : graph.layers) {
    const auto found = living->find(layer.parameter.name());
    if (found == living->end() || !is_dead(found->second)) continue;
    const std::vector<GateUnit> units = gate_units(with_blobs(layer));
    const auto best =
        std::min_element(units.begin(), units.end(),
                         [](const GateUnit& a, const GateUnit& b) { return a.score < b.score; });
    found->second[best - units.begin()] = true;
  }
}

Cut plan_cut(const NetParameter& model, const Net& net, LivingUnits living) {
  Graph graph(model, net.to_proto(), source_shapes(net), Missing::KEEP);
  Plan plan = make_plan(graph, living, true);
  if (!find_cut_outputs(graph, plan.constants).empty()) {
    revive(graph, &living);
    plan = make_plan(graph, living, true);
  }
  return {std::move(graph), std::move(living), std::move(plan)};
}

}  // namespace

bool DeadUnits::check(const Net& net, const LivingUnits& spared) {
  bool has_new = false;
  for (const GateLayer* gate : net.gates()) {
    std::vector<std::uint32_t>& checks = checks_[gate->name()];
    const std::vector<float> scores = gate->scores();
    checks.resize(scores.size(), 0);
    const auto found = spared.find(gate->name());
    for (std::size_t u = 0; u < scores.size(); ++u) {
      if (checks[u] >= static_cast<std::uint32_t>(patience_)) continue;
      const bool is_spared = found != spared.end() && found->second[u];
      checks[u] = scores[u] >= threshold_ && !is_spared ? checks[u] + 1 : 0;
      has_new = has_new || checks[u] >= static_cast<std::uint32_t>(patience_);
    }
  }
  if (has_new) freeze(net);
  return has_new;
}

LivingUnits DeadUnits::living() const {
  LivingUnits living;
  for (const auto& [name, checks] : checks_)
    for (const std::uint32_t count : checks)
      living[name].push_back(count < static_cast<std::uint32_t>(patience_));
  return living;
}

void DeadUnits::freeze(const Net& net) const {
  const LivingUnits living = this->living();
  for (GateLayer* gate : net.gates()) {
    std::vector<bool> dead = living.at(gate->name());
    dead.flip();
    gate->freeze(dead);
  }
}

void DeadUnits::keep(const std::map<std::string, std::vector<int>>& kept, const Net& net) {
  for (auto& [name, checks] : checks_) {
    const auto found = kept.find(name);
    for (std::size_t u = 0; u < checks.size(); ++u) {
      const bool stays =
          found != kept.end() && std::find(found->second.begin(), found->second.end(),
                                           static_cast<int>(u)) != found->second.end();
      if (!stays) checks[u] = static_cast<std::uint32_t>(patience_);
    }
  }
  freeze(net);
}

void DeadUnits::cut(const std::map<std::string, std::vector<int>>& kept, const Net& net) {
  const auto before = std::exchange(checks_, {});
  for (const auto& [name, units] : kept)
    for (const int unit : units) checks_[name].push_back(before.at(name)[unit]);
  freeze(net);
}

void DeadUnits::to_state(SolverState* state) const {
  for (const auto& [name, checks] : checks_) {
    SolverState::DeadUnits* units = state->add_dead_units();
    units->set_layer(name);
    units->mutable_checks()->Add(checks.begin(), checks.end());
  }
}

void DeadUnits::from_state(const SolverState& state, const Net& net) {
  checks_.clear();
  for (const SolverState::DeadUnits& units : state.dead_units())
    checks_[units.layer()].assign(units.checks().begin(), units.checks().end());
  if (checks_.empty()) return;
  for (const GateLayer* gate : net.gates())
    if (checks_[gate->name()].size() != static_cast<std::size_t>(gate->units()))
      fail("is a snapshot of another net: it counts ", checks_[gate->name()].size(),
           " unit(s) of layer '", gate->name(), "', which has ", gate->units());
  freeze(net);
}

CompactedNet compact(const NetParameter& model, const Net& net,
                     const std::vector<NetParameter>& companions, LivingUnits living) {
  const Cut cut = plan_cut(model, net, std::move(living));
  CompactedNet result;
  NetWithWeights smaller =
      cut_net(cut.graph, cut.plan, cut.living, Gates::STAY, Values::WRITTEN).release();
  result.model = std::move(smaller.model);
  result.weights = std::move(smaller.weights);
  for (const NetParameter& companion : companions)
    result.companions.push_back(cut_along(cut.graph, cut.plan, companion));
  result.kept = cut.kept();
  return result;
}

std::map<std::string, std::vector<int>> kept_by_compaction(const NetParameter& model,
                                                           const Net& net, LivingUnits living) {
  return plan_cut(model, net, std::move(living)).kept();
}

}  // namespace vibnet
