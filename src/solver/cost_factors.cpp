#include "solver/cost_factors.h"

#include <algorithm>
#include <cmath>

namespace vibnet {
namespace {

/// The living unit that carries least; if just one lives, the dead one that carries most; -1 for a
/// gate of one unit.
int marginal_unit(const std::vector<float>& scores, const std::vector<bool>& kept, bool lives) {
  int found = -1;
  for (std::size_t unit = 0; unit < scores.size(); ++unit) {
    if (kept[unit] != lives) continue;
    const bool is_nearer =
        found < 0 || (lives ? scores[unit] > scores[found] : scores[unit] < scores[found]);
    if (is_nearer) found = static_cast<int>(unit);
  }
  return found;
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
    const int unit = marginal_unit(scores[gate], kept[gate], living > 1);
    if (unit < 0) continue;
    Kept moved = kept;
    moved[gate][unit] = living <= 1;
    factors[gate] = std::fabs(whole - measure(moved));
    sum += factors[gate] * static_cast<double>(living);
    units += static_cast<double>(living);
  }
  if (!(sum > 0)) return std::vector<double>(kept.size(), 1);
  for (double& factor : factors) factor *= units / sum;
  return factors;
}

}  // namespace vibnet
