#pragma once

#include <functional>
#include <vector>

namespace vibnet {

/// Which units stay: per gate, in the order of the net, and per unit.
using Kept = std::vector<std::vector<bool>>;
/// Per gate and unit, how little it carries; not a number for one that cannot be kept.
using Scores = std::vector<std::vector<float>>;
/// What a net costs that keeps these units; 0 for units that are no net, as when a layer lost all.
using CostFunction = std::function<double(const Kept&)>;

/// The units of all gates in one order, those that carry most first. The first of each gate stands
/// outside of it, since no layer can do without.
class Ranking {
 public:
  explicit Ranking(const Scores& scores);

  int size() const { return static_cast<int>(units_.size()); }
  /// Keeps the first `count` units, the best of each gate, and so many more of each.
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
  Kept least_;
};

struct FoundUnits {
  Kept kept;
  double cost = 0;
  /// Between the scores of the last unit kept and the first one cut by the ranking alone.
  float threshold = 0;
};

/// How many units of the ranking can be kept for no more than the target, to within `precision`
/// units below the most. `hint` is where to look first.
int units_within(const Ranking& ranking, const CostFunction& cost, double target, int hint,
                 int precision = 1);

/// How far from a target a net may end: its cost over the target is 1 to within this.
constexpr double kTargetTolerance = 0.02;
bool is_on_target(double cost, double target);

/// The units to keep so that the net costs `target`. First by one threshold for all gates; where
/// one unit more or less steps over the target, units further along the ranking come in, or some
/// before it go, of gates whose units cost little enough; and where those are too few, a gate's
/// last units make room for others'. The nearest found where none is within the tolerance. `cost`
/// must not fall when a unit comes.
FoundUnits find_units(const Scores& scores, const CostFunction& cost, double target);

}  // namespace vibnet
