#include "solver/compaction.h"

#include <algorithm>
#include <utility>

#include "compress/cut.h"
#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "net/layer_set_up.h"
#include "solver/compressed_cost.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// Finds what keeps dead channels in a net.
class Keeper {
 public:
  Keeper(const Graph& graph, const Plan& plan) : graph_(graph), plan_(plan) {}

  /// The layer behind the blob that needs its channel other than to make a constant, or that makes
  /// an output; null for none.
  const GraphLayer* of(int blob, int channel) const {
    if (graph_.is_output(blob)) return graph_.maker_of(blob);
    for (std::size_t l = 0; l < graph_.layers.size(); ++l)
      for (std::size_t b = 0; b < graph_.layers[l].bottoms.size(); ++b) {
        if (graph_.layers[l].bottoms[b] != blob) continue;
        if (plan_.needs.edges[l][b][channel] == Need::NONE) continue;
        const GraphLayer* keeper = of(graph_.layers[l], static_cast<int>(b), channel);
        if (keeper != nullptr) return keeper;
      }
    return nullptr;
  }

 private:
  /// The layer itself, unless it makes constants of the channel, which others need.
  const GraphLayer* of(const GraphLayer& layer, int bottom, int channel) const {
    bool is_handed_on = false;
    for (std::size_t t = 0; t < layer.tops.size(); ++t)
      for (std::size_t c = 0; c < plan_.constants[layer.tops[t]].size(); ++c) {
        if (!plan_.constants[layer.tops[t]][c]) continue;
        if (!comes_from(layer, static_cast<int>(t), static_cast<int>(c), bottom, channel)) continue;
        is_handed_on = true;
        const GraphLayer* keeper = of(layer.tops[t], static_cast<int>(c));
        if (keeper != nullptr) return keeper;
      }
    return is_handed_on ? nullptr : &layer;
  }

  static bool comes_from(const GraphLayer& layer, int top, int top_channel, int bottom,
                         int channel) {
    if (layer.kind != GraphLayer::Kind::INNER) return false;
    switch (layer.rule.role) {
      case ChannelRule::Role::EACH:
      case ChannelRule::Role::SUM:
        return top_channel == channel;
      case ChannelRule::Role::MOVE:
        return layer.rule.sources[top][top_channel].bottom == bottom &&
               layer.rule.sources[top][top_channel].channel == channel;
      default:
        return false;
    }
  }

  const Graph& graph_;
  const Plan& plan_;
};

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

  std::string why_left() const {
    for (const GraphLayer& layer : graph.layers) {
      const auto found = living.find(layer.parameter.name());
      if (found == living.end()) continue;
      for (std::size_t u = 0; u < found->second.size(); ++u) {
        const GraphLayer* keeper =
            found->second[u] ? nullptr : Keeper(graph, plan).of(layer.tops[0], static_cast<int>(u));
        if (keeper != nullptr) return title(keeper->parameter);
      }
    }
    return "";
  }
};

/// Takes the best unit of each wholly dead gate for living.
void revive(const Graph& graph, LivingUnits* living) {
  for (const GraphLayer& layer : graph.layers) {
    const auto found = living->find(layer.parameter.name());
    if (found == living->end() || !keeps_none(found->second)) continue;
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
  result.why_left = cut.why_left();
  return result;
}

std::map<std::string, std::vector<int>> kept_by_compaction(const NetParameter& model,
                                                           const Net& net, LivingUnits living) {
  return plan_cut(model, net, std::move(living)).kept();
}

}  // namespace vibnet
