#include "solver/steering.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "solver/cost_factors.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr int kLooks = 50;
/// A net that has come down to its target is settled from this share of the run on; any at the
/// latter, which leaves the rest of the run to the net that was asked for.
constexpr double kEarliest = 0.5;
constexpr double kLatest = 0.7;
/// So many nets are tried behind where the ranking alone steps over the target.
constexpr int kMostTries = 60;
/// Behind it, this share of the ranking is left in the net too, and so many more units of each
/// gate: others' may have to make room for them.
constexpr int kRoom = 16;
constexpr int kMoreOfEach = 2;
/// A net that shrinks by as much everywhere keeps the square root of its cost's share of each
/// gate's units. No gate is pressed below this share of that: what is gone entirely teaches the
/// layers before it nothing, and never comes back.
constexpr double kLeast = 0.25;
/// A unit is in danger whose score is less than this below its gate's threshold.
constexpr float kDanger = 1;
/// Where the pressure pulls at the gates this many times as hard as the data does, more of it only
/// drowns what tells the units apart: gates that move slowly close no sooner, and all alike.
constexpr double kDrowning = 2;

std::vector<bool> either(std::vector<bool> a, const std::vector<bool>& b) {
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), std::logical_or<>());
  return a;
}

/// The kl_weight up to which the gradients of the last backward would have held.
double drowning_kl_weight(const Net& net) {
  GatePull sum;
  for (const GateLayer* gate : net.gates()) {
    const GatePull pull = gate->pull();
    sum.kl += pull.kl;
    sum.data += pull.data;
  }
  if (sum.kl == 0 || sum.data == 0) return std::numeric_limits<double>::infinity();
  return net.context().kl_weight * kDrowning * std::sqrt(sum.data / sum.kl);
}

std::vector<double> count_living(const Kept& kept) {
  std::vector<double> counts;
  for (const std::vector<bool>& units : kept)
    counts.push_back(static_cast<double>(std::count(units.begin(), units.end(), true)));
  return counts;
}

}  // namespace

void check_steering(const SolverParameter& parameter, std::size_t gates) {
  if (parameter.has_target()) read_target(parameter.target());
  if (gates == 0)
    fail(parameter.has_target() ? "target" : "kl_cost",
         ": the net has no gate to steer, such as an InformationBottleneck");
  if (!parameter.has_target()) return;
  if (parameter.max_iter() < 2) fail("target: needs a max_iter of 2 or more");
  if (parameter.kl_weight() == 0) fail("target: needs a kl_weight above 0 to start from");
}

Steering::Steering(const SolverParameter& parameter, CompressedCost cost, const Net& net,
                   Communicator* ranks)
    : parameter_(parameter),
      ranks_(ranks),
      compressed_(std::move(cost)),
      control_(parameter.kl_weight()),
      interval_(std::max(1, parameter.max_iter() / kLooks)) {
  const std::size_t gates = net.gates().size();
  check_steering(parameter, gates);
  if (parameter.has_target()) target_ = read_target(parameter.target());
  factors_.assign(gates, 1);
  living_.assign(gates, 0);
}

void Steering::begin(const Net& net) {
  dense_ = cost_of_deployment(compressed_.dense());
  if (!target_) return;
  UnitPlanner planner = this->planner(net);
  check_target(*target_, dense_, &planner, ranks_);
  share_ = target_->value;
  if (target_->kind == TargetKind::LATENCY)
    share_ /= measure(target_->kind, dense_, compressed_.dense(), ranks_);
}

double Steering::kl_weight() const {
  if (!target_) return parameter_.kl_weight();
  return is_settled_ ? 0 : control_.kl_weight();
}

void Steering::steer(std::int64_t iteration, Net* net) {
  if (is_settled_ || iteration % interval_ != 0) return;
  UnitPlanner planner = this->planner(*net);
  const Kept kept = kept_units(planner.gates());
  look(kept, &planner);
  if (target_) {
    const double done = static_cast<double>(iteration) / parameter_.max_iter();
    const bool can_wait = iteration + interval_ < parameter_.max_iter();
    must_settle(done) ? settle(can_wait, &planner, net) : control(done, &planner);
    guard(net);
  }
  if (parameter_.kl_cost() != SolverParameter::UNITS) renew_factors(kept, &planner);
  set_factors(net);
}

UnitPlanner Steering::planner(const Net& net) const {
  UnitPlanner planner = compressed_.planner(net.to_proto());
  Kept frozen;
  for (const GateLayer* gate : net.gates()) frozen.push_back(gate->frozen());
  planner.shut(std::move(frozen));
  return planner;
}

void Steering::look(const Kept& kept, UnitPlanner* planner) {
  const NetParameter deploy = planner->plan(kept);
  found_ = shares_of(cost_of_deployment(deploy), dense_);
  if (target_ && target_->kind == TargetKind::LATENCY)
    found_.latency_ms = measure(target_->kind, dense_, deploy, ranks_);
}

bool Steering::must_settle(double done) const {
  if (done >= kLatest) return true;
  if (done < kEarliest) return false;
  return value_of(target_->kind, found_) <= target_->value * (1 + kTargetTolerance);
}

void Steering::control(double done, UnitPlanner* planner) {
  const Scores scores = planner->scores();
  const Ranking ranking(scores);
  const CostFunction cost = [&](const Kept& kept) {
    return measure(target_->kind, dense_, planner->plan(kept), ranks_);
  };
  const float threshold = find_units(scores, cost, target_->value, kMostTries).threshold;
  rank_ = 0;
  while (rank_ < ranking.size() && ranking.score(rank_) < threshold) ++rank_;
  if (ranking.size() == 0) return;
  const double since = static_cast<double>(interval_) / parameter_.max_iter();
  control_.steer(done, since, ranking.score(std::min(rank_, ranking.size() - 1)), most_);
}

int Steering::least_units(const GateLayer& gate) const {
  const double alike = std::sqrt(std::min(1.0, share_)) * gate.whole_units();
  return std::clamp(static_cast<int>(std::lround(kLeast * alike)), 1, gate.units());
}

/// Spares the best units of each gate that have come into danger.
void Steering::guard(Net* net) const {
  for (GateLayer* gate : net->gates()) {
    const std::vector<float> scores = gate->scores();
    const int behind_first = least_units(*gate) - 1;
    std::vector<bool> best = Ranking({scores}).keep(behind_first)[0];
    float last = -std::numeric_limits<float>::infinity();
    for (std::size_t u = 0; u < scores.size(); ++u)
      if (best[u]) last = std::max(last, scores[u]);
    if (last < gate_threshold(gate->parameter()) - kDanger) best.assign(best.size(), false);
    gate->spare(best);
  }
}

void Steering::settle(bool can_wait, UnitPlanner* planner, Net* net) {
  const FoundUnits found = find_units(*target_, dense_, planner, ranks_);
  if (can_wait && is_mistimed(*target_, found)) {
    LOG(WARNING) << "target: units that take " << found.cost << " ms were found, and "
                 << target_->value << " was asked for: a busy machine? They are looked for again";
    return;
  }
  is_settled_ = true;
  for (std::size_t gate = 0; gate < found.kept.size(); ++gate)
    net->gates()[gate]->settle(found.kept[gate]);
  look(found.kept, planner);
  LOG(INFO) << "target: the units are settled: " << name_of(target_->kind) << " is " << found.cost
            << ", and " << target_->value << " was asked for";
  tell_of_miss(*target_, found);
}

void Steering::renew_factors(const Kept& kept, UnitPlanner* planner) {
  constexpr double kChange = 0.1;
  const std::vector<double> living = count_living(kept);
  bool has_changed = false;
  for (std::size_t gate = 0; gate < living.size(); ++gate)
    has_changed |= std::fabs(living[gate] - living_[gate]) > kChange * living_[gate];
  if (!has_changed || found_.weights == 0) return;
  living_ = living;
  factors_ = cost_factors(planner, parameter_.kl_cost());
}

LivingUnits Steering::spared(const Net& net) const {
  LivingUnits spared;
  if (!target_ || is_settled_) return spared;
  const Ranking ranking(unit_scores(net.to_proto()));
  const int room = rank_ + ranking.size() / kRoom + 1;
  const Kept kept = ranking.keep(std::min(room, ranking.size()), kMoreOfEach);
  for (std::size_t g = 0; g < kept.size(); ++g) {
    const GateLayer& gate = *net.gates()[g];
    spared[gate.name()] = either(kept[g], gate.spared());
  }
  return spared;
}

void Steering::follow_cut(NetParameter model, Net* net) {
  compressed_.set_model(std::move(model));
  if (factors_.size() != net->gates().size()) {
    factors_.assign(net->gates().size(), 1);
    living_.assign(net->gates().size(), 0);
    UnitPlanner planner = this->planner(*net);
    if (parameter_.kl_cost() != SolverParameter::UNITS)
      renew_factors(kept_units(planner.gates()), &planner);
  }
  set_factors(net);
  if (target_ && !is_settled_) guard(net);
  if (target_ && is_settled_ && target_->kind != TargetKind::LATENCY) settle_anew(net);
}

/// A cut net may be compressed to another size than the one that it was cut from: zeros that stay
/// in their place where a pick of the others would not pay, say.
void Steering::settle_anew(Net* net) {
  const auto off = [&] { return std::fabs(value_of(target_->kind, found_) / target_->value - 1); };
  UnitPlanner planner = this->planner(*net);
  const double before = off();
  look(kept_units(planner.gates()), &planner);
  if (off() > std::max(before, kTargetTolerance)) settle(false, &planner, net);
}

void Steering::set_factors(Net* net) const {
  for (std::size_t gate = 0; gate < factors_.size(); ++gate)
    net->gates()[gate]->set_cost_factor(factors_[gate]);
}

bool Steering::looks(std::int64_t iteration) const {
  return target_ && !is_settled_ && (iteration + 1) % interval_ == 0;
}

void Steering::update(const std::function<void()>& step, Net* net) {
  if (looks(net->context().iteration)) most_ = drowning_kl_weight(*net);
  for (GateLayer* gate : net->gates())
    if (is_settled_) gate->note_sides();
  step();
  for (GateLayer* gate : net->gates())
    if (is_settled_) gate->keep_sides();
}

SolverState::Steering Steering::to_proto(const Net& net) const {
  SolverState::Steering state;
  for (const GateLayer* gate : net.gates())
    for (const bool is_spared : gate->spared()) state.add_spared(is_spared);
  state.set_kl_weight(control_.kl_weight());
  if (target_) *state.mutable_target() = parameter_.target();
  const auto add = [&](const std::vector<double>& values) {
    state.mutable_memory()->Add(values.begin(), values.end());
  };
  add({is_settled_ ? 1.0 : 0.0, static_cast<double>(rank_)});
  add({found_.weights, found_.flops, found_.activation_memory, found_.latency_ms});
  add({static_cast<double>(dense_.weights), dense_.flops,
       static_cast<double>(dense_.activation_bytes), share_, most_,
       static_cast<double>(parameter_.kl_cost())});
  add(control_.memory());
  add(factors_);
  add(living_);
  return state;
}

void Steering::restore(const SolverState::Steering& state, Net* net) {
  constexpr int kOwn = 12;
  const int gates = static_cast<int>(factors_.size());
  const int expected = kOwn + TargetControl::kMemory + 2 * gates;
  if (state.memory_size() != expected)
    fail("is a snapshot of another solver: it holds ", state.memory_size(),
         " values of a steering, and this one has ", expected);
  const std::string before = state.target().ShortDebugString();
  const std::string now = parameter_.target().ShortDebugString();
  const auto named = [](const std::string& target) {
    return target.empty() ? "no target" : "target { " + target + " }";
  };
  if (before != now)
    fail("was steered to ", named(before), ", and the solver says ", named(now),
         "; a run is resumed with its own target");
  const double* memory = state.memory().data();
  const auto kl_cost = static_cast<SolverParameter::KLCost>(memory[11]);
  if (kl_cost != parameter_.kl_cost())
    fail("was steered by kl_cost: ", SolverParameter::KLCost_Name(kl_cost),
         ", and the solver says ", SolverParameter::KLCost_Name(parameter_.kl_cost()));
  is_settled_ = memory[0] != 0;
  rank_ = static_cast<int>(memory[1]);
  found_ = {memory[2], memory[3], memory[4], memory[5]};
  dense_.weights = static_cast<std::int64_t>(memory[6]);
  dense_.flops = memory[7];
  dense_.activation_bytes = static_cast<std::int64_t>(memory[8]);
  share_ = memory[9];
  most_ = memory[10];
  control_.restore(state.kl_weight(), memory + kOwn);
  const double* of_gates = memory + kOwn + TargetControl::kMemory;
  factors_.assign(of_gates, of_gates + gates);
  living_.assign(of_gates + gates, of_gates + 2 * gates);
  set_factors(net);
  auto next = state.spared().begin();
  for (GateLayer* gate : net->gates()) {
    if (state.spared().end() - next < gate->units())
      fail("is a snapshot of another net: it tells of ", state.spared_size(), " units");
    gate->spare({next, next + gate->units()});
    next += gate->units();
  }
}

}  // namespace vibnet
