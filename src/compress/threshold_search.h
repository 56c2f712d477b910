#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "core/gate_rule.h"

namespace vibnet {

/// Which units stay: per gate, in the order of the net, and per unit.
using Kept = std::vector<std::vector<bool>>;
/// Per gate and unit, how little it carries; not a number for one that cannot be kept.
using Scores = std::vector<std::vector<float>>;
/// What a net costs that keeps these units; 0 for units that are no net, as when a layer lost all.
using CostFunction = std::function<double(const Kept&)>;

inline bool keeps_all(const Kept& kept) {
  return std::all_of(kept.begin(), kept.end(),
                     [](const std::vector<bool>& units) { return keeps_all(units); });
}

/// The units of all gates in one order, those that carry most first. Some stand outside of it and
/// always stay.
class Ranking {
 public:
  Ranking(const Scores& scores, Kept always);
  /// The best of each gate always stays, since few layers can do without.
  explicit Ranking(const Scores& scores);

  int size() const { return static_cast<int>(units_.size()); }
  int gates() const { return static_cast<int>(always_.size()); }
  /// Keeps the first `count` units, those outside, and so many more of each gate.
  Kept keep(int count, int more_of_each = 0) const;
  int gate(int rank) const { return units_[rank].gate; }
  float score(int rank) const { return units_[rank].score; }
  bool is_kept(int rank, const Kept& kept) const {
    return kept[units_[rank].gate][units_[rank].index];
  }
  void set(int rank, bool is_kept, Kept* kept) const {
    (*kept)[units_[rank].gate][units_[rank].index] = is_kept;
  }

 private:
  struct Unit {
    float score;
    int gate;
    int index;
  };
  std::vector<Unit> units_;
  Kept always_;
};

struct FoundUnits {
  Kept kept;
  double cost = 0;
  /// Between the scores of the last unit kept and the first one cut, but for exceptions.
  float threshold = 0;
  /// How far the readings of a cost that is measured lie above the smallest, as a share of it.
  double scatter = 0;
};

/// How far from a target a net may end: its cost over the target is 1 to within this.
constexpr double kTargetTolerance = 0.02;
bool is_on_target(double cost, double target);

/// The units to keep so that the net costs `target`, by one threshold for all gates. Where one unit
/// more or less steps over the target, the threshold goes on and passes over the units that do not
/// fit; where that misses too, up to four units of one gate change sides first. Of what meets the
/// target, that is taken which is closest to the ranking; if nothing does, what costs most nearly
/// as much. No gate loses the best of its units, an eighth of those that a net shrunk alike
/// everywhere would keep, unless the target has no room for them. `cost` must not fall when a unit
/// comes; at most `most_tries` nets are asked for.
FoundUnits find_units(const Scores& scores, const CostFunction& cost, double target,
                      int most_tries = 3000);

/// The least that find_units() can come to: one unit of each gate, those that belong together
/// where the best do not. Anything at or below `enough` will do.
double least_cost(const Scores& scores, const CostFunction& cost, double enough);

}  // namespace vibnet
