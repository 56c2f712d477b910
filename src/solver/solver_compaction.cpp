#include <glog/logging.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "solver/compaction.h"
#include "solver/solver_nets.h"
#include "solver/steering.h"
#include "vibnet/error.h"
#include "vibnet/solver.h"

// What a Solver does to shrink its net while it trains.

namespace vibnet {
namespace {

/// "conv1/0": the layer and the blob that a parameter's name says.
std::pair<std::string, int> layer_and_blob(const std::string& parameter) {
  const std::size_t slash = parameter.rfind('/');
  return {parameter.substr(0, slash), std::stoi(parameter.substr(slash + 1))};
}

int count_units(const Net& net) {
  int units = 0;
  for (const GateLayer* gate : net.gates()) units += gate->units();
  return units;
}

}  // namespace

int Solver::check_interval() const {
  return std::max(parameter_.compact_interval(), parameter_.freeze_interval());
}

void Solver::make_dead_units(const std::string& path) {
  if (net_->gates().empty())
    fail(path, ": ", parameter_.compact_interval() > 0 ? "compact_interval" : "freeze_interval",
         ": the net has no gate, such as an InformationBottleneck");
  for (const GateLayer* gate : net_->gates())
    if (parameter_.compact_threshold() < gate_threshold(gate->parameter()))
      fail(path, ": compact_threshold: ", parameter_.compact_threshold(),
           " must not lie below the threshold of layer '", gate->name(), "', ",
           gate_threshold(gate->parameter()));
  dead_units_ =
      std::make_unique<DeadUnits>(parameter_.compact_threshold(), parameter_.compact_patience());
}

/// The units that the gate still has and keeps, by their numbers in the uncut net.
std::vector<bool> Solver::kept_units(const Gate& gate) const {
  std::vector<bool> all(gate.units, false);
  for (const GateLayer* layer : net_->gates()) {
    if (layer->name() != gate.name) continue;
    const std::vector<bool> kept = layer->kept();
    for (std::size_t u = 0; u < kept.size(); ++u)
      all[layer->number_of(static_cast<int>(u))] = kept[u];
  }
  return all;
}

std::vector<NetParameter> Solver::history_by_layer() const {
  std::vector<NetParameter> histories(history_.empty() ? 0 : history_[0].size());
  for (std::size_t h = 0; h < histories.size(); ++h) {
    std::map<std::string, LayerParameter*> layers;
    for (std::size_t p = 0; p < history_.size(); ++p) {
      const auto [name, blob] = layer_and_blob(net_->parameters()[p].name);
      LayerParameter*& layer = layers[name];
      if (layer == nullptr) {
        layer = histories[h].add_layer();
        layer->set_name(name);
      }
      while (layer->blobs_size() <= blob) layer->add_blobs();
      history_[p][h]->to_proto(layer->mutable_blobs(blob));
    }
  }
  return histories;
}

void Solver::set_history(const std::vector<NetParameter>& by_layer) {
  for (std::size_t h = 0; h < by_layer.size(); ++h) {
    std::map<std::string, const LayerParameter*> layers;
    for (const LayerParameter& layer : by_layer[h].layer()) layers[layer.name()] = &layer;
    for (std::size_t p = 0; p < history_.size(); ++p) {
      const auto [name, blob] = layer_and_blob(net_->parameters()[p].name);
      const auto found = layers.find(name);
      const bool is_there = found != layers.end() && blob < found->second->blobs_size();
      if (is_there) history_[p][h]->from_proto(found->second->blobs(blob));
    }
  }
}

/// Freezes the units that have died, and with compact_interval cuts them out; else all that would
/// go with them are frozen too.
void Solver::check_dead_units() {
  const LivingUnits spared = steering_ != nullptr ? steering_->spared(*net_) : LivingUnits();
  if (!dead_units_->check(*net_, spared)) return;
  if (parameter_.compact_interval() == 0)
    dead_units_->keep(kept_by_compaction(nets_->train.net, *net_, dead_units_->living()), *net_);
  forget_frozen_units();
  if (parameter_.compact_interval() > 0) compact();
}

/// The rule's history would go on moving them.
void Solver::forget_frozen_units() {
  std::map<std::string, std::vector<bool>> frozen;
  for (const GateLayer* gate : net_->gates()) frozen[gate->name()] = gate->frozen();
  for (std::size_t p = 0; p < history_.size(); ++p) {
    const auto found = frozen.find(layer_and_blob(net_->parameters()[p].name).first);
    if (found == frozen.end()) continue;
    for (const auto& blob : history_[p]) {
      float* values = blob->mutable_cpu_data();
      for (std::size_t u = 0; u < found->second.size(); ++u)
        if (found->second[u]) values[u] = 0;
    }
  }
}

/// Cuts the frozen units out of the net, its weights and the rule's history, and goes on with what
/// is left.
void Solver::compact() {
  const int before = count_units(*net_);
  CompactedNet smaller =
      vibnet::compact(nets_->train.net, *net_, history_by_layer(), dead_units_->living());
  int left = 0;
  for (const auto& gate : smaller.kept) left += static_cast<int>(gate.second.size());
  if (left == before) {
    LOG(INFO) << "Iteration " << iteration_ << ": units are dead, and none of them is cut out: "
              << (smaller.why_left.empty() ? "that would save nothing, and they stay as zeros"
                                           : smaller.why_left + " needs them");
    return;
  }
  net_->check();  // what its layers have met goes with them
  nets_->train.net = smaller.model;
  for (SolverNet& test : nets_->tests) test.net = smaller.model;
  is_compacted_ = true;
  const Context context = net_->context();
  seconds_waited_ = seconds_waited();
  make_nets();
  net_->context() = context;
  net_->copy_weights(smaller.weights, "the compacted net", Missing::FAIL);
  make_history();
  set_history(smaller.companions);
  dead_units_->cut(smaller.kept, *net_);
  if (steering_ != nullptr) steering_->follow_cut(test_model(*nets_), net_.get());
  LOG(INFO) << "Iteration " << iteration_ << ": " << before - count_units(*net_)
            << " dead units are cut out; the gates have " << count_units(*net_);
}

}  // namespace vibnet
