#include "solver/cost_factors.h"

#include <algorithm>
#include <cmath>

namespace vibnet {
namespace {

/// The half of the living units that carries least: of fewer the layers around may not be cut, as
/// picking channels costs something too. If just one lives, the dead one that carries most; none
/// for a gate of one unit.
std::vector<int> marginal_units(const std::vector<float>& scores, const std::vector<bool>& kept) {
  const auto living = std::count(kept.begin(), kept.end(), true);
  const bool takes_living = living > 1;
  std::vector<int> units;
  for (std::size_t unit = 0; unit < scores.size(); ++unit)
    if (kept[unit] == takes_living) units.push_back(static_cast<int>(unit));
  std::stable_sort(units.begin(), units.end(), [&](int a, int b) {
    return takes_living ? scores[a] > scores[b] : scores[a] < scores[b];
  });
  units.resize(std::min<std::size_t>(units.size(), std::max<std::size_t>(1, living / 2)));
  return units;
}

}  // namespace

std::vector<double> cost_factors(UnitPlanner* planner, SolverParameter::KLCost kind) {
  const Scores scores = unit_scores(planner->gates());
  const Kept kept = kept_units(planner->gates());
  const auto measure = [&](const Kept& units) {
    const NetCost found = planner->cost(units);
    return kind == SolverParameter::FLOPS ? found.flops : static_cast<double>(found.weights);
  };
  const double whole = measure(kept);
  std::vector<double> factors(kept.size(), 1);
  double sum = 0;
  double units = 0;
  for (std::size_t gate = 0; gate < kept.size(); ++gate) {
    const auto living = std::count(kept[gate].begin(), kept[gate].end(), true);
    const std::vector<int> units_to_move = marginal_units(scores[gate], kept[gate]);
    if (units_to_move.empty()) continue;
    Kept moved = kept;
    for (const int unit : units_to_move) moved[gate][unit] = living <= 1;
    factors[gate] = std::fabs(whole - measure(moved)) / static_cast<double>(units_to_move.size());
    sum += factors[gate] * static_cast<double>(living);
    units += static_cast<double>(living);
  }
  if (!(sum > 0)) return std::vector<double>(kept.size(), 1);
  for (double& factor : factors) factor *= units / sum;
  return factors;
}

}  // namespace vibnet
