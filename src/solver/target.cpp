#include "solver/target.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/device_scope.h"
#include "net/latency.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr int kTimedRuns = 5;
/// One reading near the target may be chance: so many are taken of what a search has found, so
/// many searches made, and so many nets timed by each.
constexpr int kReadings = 9;
constexpr int kSearches = 3;
constexpr int kMostTimed = 40;
/// A net whose time is further off than this is not what was asked for.
constexpr double kFarOff = 0.25;

/// The cost is the smallest reading.
void read_again(const CostFunction& cost, FoundUnits* found) {
  std::vector<double> readings(kReadings);
  std::generate(readings.begin(), readings.end(), [&] { return cost(found->kept); });
  std::sort(readings.begin(), readings.end());
  found->cost = readings[0];
  found->scatter = readings[0] > 0 ? readings[kReadings / 2] / readings[0] - 1 : 0;
}

double measure_latency(const NetParameter& deploy) {
  const DeviceScope scope;
  NetOptions options;
  options.keeps_blobs = false;
  Net net(deploy, options);
  return forward_ms(kTimedRuns, &net);
}

/// The nearest of several searches by a cost that is measured, and not the same each time.
FoundUnits find_measured(const Scores& scores, const CostFunction& cost, double target) {
  const auto distance = [&](const FoundUnits& found) { return std::fabs(found.cost / target - 1); };
  FoundUnits nearest;
  for (int search = 0; search < kSearches && !is_on_target(nearest.cost, target); ++search) {
    FoundUnits found = find_units(scores, cost, target, kMostTimed);
    read_again(cost, &found);
    if (nearest.kept.empty() || distance(found) < distance(nearest)) nearest = found;
  }
  return nearest;
}

}  // namespace

Target read_target(const TargetParameter& p) {
  const int set = p.has_flops() + p.has_weights() + p.has_activation_memory() + p.has_latency_ms();
  if (set != 1)
    fail("target: ", set, " targets are set; give one of flops, weights, activation_memory and ",
         "latency_ms");
  Target target;
  if (p.has_flops()) target = {TargetKind::FLOPS, p.flops()};
  if (p.has_weights()) target = {TargetKind::WEIGHTS, p.weights()};
  if (p.has_activation_memory()) target = {TargetKind::ACTIVATION_MEMORY, p.activation_memory()};
  if (p.has_latency_ms()) target = {TargetKind::LATENCY, p.latency_ms()};
  const bool is_time = target.kind == TargetKind::LATENCY;
  if (is_time && !(target.value > 0 && std::isfinite(target.value)))
    fail("target: latency_ms: ", target.value, " must be above 0, and finite");
  if (!is_time && !(target.value > 0 && target.value <= 1))
    fail("target: ", name_of(target.kind), ": ", target.value,
         " is a share of the dense net's, and must be above 0 and at most 1");
  return target;
}

std::string name_of(TargetKind kind) {
  switch (kind) {
    case TargetKind::FLOPS:
      return "flops";
    case TargetKind::WEIGHTS:
      return "weights";
    case TargetKind::ACTIVATION_MEMORY:
      return "activation_memory";
    default:
      return "latency_ms";
  }
}

TrainingCost shares_of(const NetCost& cost, const NetCost& dense) {
  const auto share = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
  TrainingCost shares;
  shares.weights = share(static_cast<double>(cost.weights), static_cast<double>(dense.weights));
  shares.flops = share(cost.flops, dense.flops);
  shares.activation_memory = share(static_cast<double>(cost.activation_bytes),
                                   static_cast<double>(dense.activation_bytes));
  return shares;
}

double value_of(TargetKind kind, const TrainingCost& cost) {
  switch (kind) {
    case TargetKind::FLOPS:
      return cost.flops;
    case TargetKind::WEIGHTS:
      return cost.weights;
    case TargetKind::ACTIVATION_MEMORY:
      return cost.activation_memory;
    default:
      return cost.latency_ms;
  }
}

double measure(TargetKind kind, const NetCost& dense, const NetParameter& deploy,
               Communicator* ranks) {
  if (deploy.layer_size() == 0) return 0;
  if (kind == TargetKind::LATENCY) {
    double ms = ranks->is_first() ? measure_latency(deploy) : 0;
    ranks->broadcast(&ms, sizeof(ms));
    return ms;
  }
  return value_of(kind, shares_of(cost_of_deployment(deploy), dense));
}

void check_target(const Target& target, const NetCost& dense, UnitPlanner* planner,
                  Communicator* ranks) {
  Kept kept = kept_units(planner->gates());
  for (std::vector<bool>& units : kept) units.assign(units.size(), true);
  planner->plan(kept);  // throws for a net that cannot be compressed
  const CostFunction cost = [&](const Kept& kept) {
    return measure(target.kind, dense, planner->plan(kept), ranks);
  };
  const double enough = target.value * (1 + kTargetTolerance);
  const double least = least_cost(planner->scores(), cost, enough);
  if (least > enough)
    fail("target: ", name_of(target.kind), ": ", target.value,
         " cannot be reached: with one unit left in each gate it is still ", least);
}

FoundUnits find_units(const Target& target, const NetCost& dense, UnitPlanner* planner,
                      Communicator* ranks) {
  const CostFunction cost = [&](const Kept& kept) {
    return measure(target.kind, dense, planner->plan(kept), ranks);
  };
  const bool is_measured = target.kind == TargetKind::LATENCY;
  const Scores scores = planner->scores();
  FoundUnits found = is_measured ? find_measured(scores, cost, target.value)
                                 : find_units(scores, cost, target.value);
  if (found.cost == 0)
    fail("target: ", name_of(target.kind), ": no units were found that make a net");
  found.kept = join_twins(found.kept, planner->gates());
  return found;
}

bool is_met(const Target& target, const FoundUnits& found) {
  return is_on_target(found.cost, target.value) ||
         (found.cost < target.value && keeps_all(found.kept));
}

bool is_mistimed(const Target& target, const FoundUnits& found) {
  return target.kind == TargetKind::LATENCY && !is_met(target, found) &&
         std::fabs(found.cost / target.value - 1) > kFarOff;
}

void tell_of_miss(const Target& target, const FoundUnits& found) {
  if (is_on_target(found.cost, target.value)) return;
  if (is_mistimed(target, found))
    fail("target: latency_ms: ", target.value, " was asked for, and the units found take ",
         found.cost, " ms, by readings that scatter by ", std::lround(100 * found.scatter),
         " %; the machine is too busy to measure, or the net's units are too few");
  LOG(WARNING) << "target: "
               << (is_met(target, found)
                       ? "the net costs less already, and all its units stay"
                       : "nothing nearer to it was found along the ranking of the units");
}

}  // namespace vibnet
