#include "compress/threshold_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>

namespace vibnet {
namespace {

/// How many of a gate's units change sides before the others follow the ranking.
constexpr int kMostExchanged = 4;
/// The share that each gate keeps of the units that it would keep in a net shrunk alike everywhere.
constexpr double kLeast = 1.0 / 8;

bool carries_more(float a, float b) { return a < b || (!std::isnan(a) && std::isnan(b)); }

/// A gate's units, those that carry most first.
std::vector<int> order_of(const std::vector<float>& scores) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return carries_more(scores[a], scores[b]); });
  return order;
}

double distance(double cost, double target) {
  return cost > 0 ? std::fabs(std::log(cost / target)) : HUGE_VAL;
}

bool can_be_kept(float score) { return !std::isnan(score); }

/// Of each gate the best units, this share of those that can be kept, but one at least.
Kept best_of_each(const Scores& scores, double share) {
  Kept kept;
  for (const std::vector<float>& gate : scores) {
    const auto units = std::count_if(gate.begin(), gate.end(), can_be_kept);
    const auto best = std::max(1L, std::lround(share * static_cast<double>(units)));
    const std::vector<int> order = order_of(gate);
    kept.emplace_back(gate.size(), false);
    for (std::size_t i = 0; i < order.size() && static_cast<long>(i) < best; ++i)
      kept.back()[order[i]] = true;
  }
  return kept;
}

Kept all_of(const Scores& scores) {
  Kept kept;
  for (const std::vector<float>& gate : scores) {
    kept.emplace_back();
    for (const float score : gate) kept.back().push_back(can_be_kept(score));
  }
  return kept;
}

Kept either(Kept a, const Kept& b) {
  for (std::size_t gate = 0; gate < a.size(); ++gate)
    for (std::size_t unit = 0; unit < a[gate].size(); ++unit)
      if (b[gate][unit]) a[gate][unit] = true;
  return a;
}

/// One unit of each gate, so that they are a net and cost little: two gates on one way keep the
/// same channel, as do the branches of a sum.
class Alignment {
 public:
  Alignment(const Scores& scores, const CostFunction& cost)
      : scores_(scores), cost_(cost), kept_(all_of(scores)) {}

  Kept run() {
    for (std::size_t gate = 0; gate < scores_.size(); ++gate) leave_one(gate);
    for (std::size_t gate = 0; gate < scores_.size(); ++gate) join_others(gate);
    return kept_;
  }

 private:
  double cost_with(std::size_t gate, int unit) const {
    Kept kept = kept_;
    keep_only(gate, unit, &kept);
    return cost_(kept);
  }
  static void keep_only(std::size_t gate, int unit, Kept* kept) {
    (*kept)[gate].assign((*kept)[gate].size(), false);
    (*kept)[gate][unit] = true;
  }

  /// The gate's best unit; the best of those that the others leave a way for, where it has none.
  void leave_one(std::size_t gate) {
    std::vector<int> units = order_of(scores_[gate]);
    if (units.empty()) return;
    std::stable_partition(units.begin() + 1, units.end(),
                          [&](int unit) { return chosen_.count(unit) > 0; });
    const auto fits = std::find_if(units.begin(), units.end(), [&](int unit) {
      return can_be_kept(scores_[gate][unit]) && cost_with(gate, unit) > 0;
    });
    const int unit = fits == units.end() ? units[0] : *fits;
    keep_only(gate, unit, &kept_);
    chosen_.insert(unit);
  }

  /// Another gate's choice instead, where the net costs less with it.
  void join_others(std::size_t gate) {
    double least = cost_(kept_);
    for (const int unit : chosen_) {
      if (unit >= static_cast<int>(scores_[gate].size()) || !can_be_kept(scores_[gate][unit]))
        continue;
      const double cost = cost_with(gate, unit);
      if (cost <= 0 || (least > 0 && cost >= least)) continue;
      least = cost;
      keep_only(gate, unit, &kept_);
    }
  }

  const Scores& scores_;
  const CostFunction& cost_;
  Kept kept_;
  std::set<int> chosen_;
};

class Search {
 public:
  Search(const Ranking& ranking, const CostFunction& cost, double target, int most_tries)
      : ranking_(ranking), cost_(cost), target_(target), tries_left_(most_tries) {}

  FoundUnits run() {
    const int count = units_within_target();
    const double below = try_units(ranking_.keep(count), count);
    has_room_ = below > 0 && below <= target_;
    if (count == ranking_.size()) return best_;
    try_units(ranking_.keep(count + 1), count + 1);
    has_room_ = has_room_ || is_done();
    if (is_done()) return best_;
    go_on(ranking_.keep(count), count, 1);
    go_on(ranking_.keep(count + 1), count, -1);
    for (int exchanged = 1; exchanged <= kMostExchanged && !is_done(); ++exchanged)
      for (int gate = 0; gate < ranking_.gates(); ++gate)
        for (const int direction : {1, -1}) exchange(exchanged, gate, count, direction);
    return best_;
  }

  /// Whether the target has room for the units outside the ranking.
  bool has_room() const { return has_room_; }

 private:
  bool is_done() const { return is_on_target(best_.cost, target_); }

  /// How many units of the ranking can be kept for no more than the target.
  int units_within_target() const {
    int within = 0;
    int above = ranking_.size() + 1;
    while (above - within > 1) {
      const int probe = within + (above - within) / 2;
      (cost_(ranking_.keep(probe)) <= target_ ? within : above) = probe;
    }
    return within;
  }

  /// Notes the units if they are the best yet. `rank` is where the threshold stands.
  double try_units(const Kept& kept, int rank) {
    --tries_left_;
    const double cost = cost_(kept);
    const double exceptions = exceptions_of(kept, rank);
    const bool is_near = is_on_target(cost, target_);
    bool is_better = is_near;
    if (is_near == is_done())
      is_better = is_near ? exceptions < exceptions_
                          : distance(cost, target_) < distance(best_.cost, target_);
    if (best_.kept.empty() || is_better) {
      best_ = {kept, cost, threshold_before(rank), 0};
      exceptions_ = exceptions;
    }
    return cost;
  }

  /// How far behind the threshold, or before it, the units stand in the ranking that are on the
  /// wrong side, in all.
  double exceptions_of(const Kept& kept, int rank) const {
    double sum = 0;
    for (int unit = 0; unit < ranking_.size(); ++unit)
      if (ranking_.is_kept(unit, kept) != (unit < rank)) sum += std::abs(unit - rank) + 1;
    return sum;
  }

  /// Takes the threshold further along the ranking, down (direction 1) or up (-1), passing over the
  /// units that would step over the target. Those of gate `passed` stay as they are.
  void go_on(Kept kept, int rank, int direction, int passed = -1) {
    const bool comes = direction > 0;
    const auto moved = [&](int count) {
      Kept moved = kept;
      for (int i = 0; i < count; ++i) {
        const int unit = comes ? rank + i : rank - 1 - i;
        if (ranking_.gate(unit) != passed) ranking_.set(unit, comes, &moved);
      }
      return moved;
    };
    for (;;) {
      const int left = comes ? ranking_.size() - rank : rank;
      int fits = 0;
      int steps_over = left + 1;
      for (int step = 1; steps_over - fits > 1; step *= 2) {
        if (tries_left_ <= 0) return;
        const int probe =
            steps_over <= left ? fits + (steps_over - fits) / 2 : std::min(fits + step, left);
        const double cost = try_units(moved(probe), rank + direction * probe);
        if (is_on_target(cost, target_)) return;
        ((comes ? cost > target_ : cost < target_) ? steps_over : fits) = probe;
      }
      kept = moved(fits);
      if (fits == left) return;
      rank += direction * (fits + 1);
    }
  }

  /// Moves the last `count` units of a gate over the threshold, against the direction in which the
  /// others go on then.
  void exchange(int count, int gate, int rank, int direction) {
    Kept kept = ranking_.keep(rank);
    const bool comes = direction < 0;
    int unit = comes ? rank : rank - 1;
    for (; count > 0 && unit >= 0 && unit < ranking_.size(); unit -= direction) {
      if (ranking_.gate(unit) != gate) continue;
      ranking_.set(unit, comes, &kept);
      --count;
    }
    if (count > 0 || tries_left_ <= 0) return;
    const double cost = try_units(kept, rank);
    if (is_on_target(cost, target_) || (comes ? cost < target_ : cost > target_)) return;
    go_on(std::move(kept), rank, direction, gate);
  }

  float threshold_before(int rank) const {
    if (ranking_.size() == 0) return 0;
    const float first_cut = ranking_.score(std::min(rank, ranking_.size() - 1));
    if (rank == ranking_.size()) return std::nextafter(first_cut, HUGE_VALF);
    if (rank == 0) return first_cut;
    const float last_kept = ranking_.score(rank - 1);
    const float middle = last_kept + (first_cut - last_kept) / 2;
    return middle > last_kept && middle < first_cut ? middle : first_cut;
  }

  const Ranking& ranking_;
  const CostFunction& cost_;
  double target_;
  int tries_left_;
  bool has_room_ = false;
  FoundUnits best_;
  double exceptions_ = 0;
};

}  // namespace

bool is_on_target(double cost, double target) {
  return std::fabs(cost / target - 1) <= kTargetTolerance;
}

Ranking::Ranking(const Scores& scores, Kept always) : always_(std::move(always)) {
  for (std::size_t gate = 0; gate < scores.size(); ++gate)
    for (std::size_t unit = 0; unit < scores[gate].size(); ++unit)
      if (!always_[gate][unit] && can_be_kept(scores[gate][unit]))
        units_.push_back({scores[gate][unit], static_cast<int>(gate), static_cast<int>(unit)});
  std::sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.score, a.gate, a.index) < std::tie(b.score, b.gate, b.index);
  });
}

Ranking::Ranking(const Scores& scores) : Ranking(scores, best_of_each(scores, 0)) {}

Kept Ranking::keep(int count, int more_of_each) const {
  Kept kept = always_;
  std::vector<int> more(always_.size(), 0);
  for (int rank = 0; rank < size(); ++rank)
    if (rank < count || ++more[gate(rank)] <= more_of_each) set(rank, true, &kept);
  return kept;
}

double least_cost(const Scores& scores, const CostFunction& cost, double enough) {
  const double of_best = cost(best_of_each(scores, 0));
  if (of_best > 0 && of_best <= enough) return of_best;
  const double aligned = cost(Alignment(scores, cost).run());
  return of_best > 0 ? std::min(of_best, aligned) : aligned;
}

FoundUnits find_units(const Scores& scores, const CostFunction& cost, double target,
                      int most_tries) {
  const double alike = std::sqrt(std::min(1.0, target / cost(all_of(scores))));
  const std::vector<std::function<Kept()>> always = {
      [&] { return best_of_each(scores, kLeast * alike); },
      [&] { return either(best_of_each(scores, kLeast * alike), Alignment(scores, cost).run()); },
      [&] { return Alignment(scores, cost).run(); },
  };
  FoundUnits found;
  for (const auto& units : always) {
    const Ranking ranking(scores, units());
    Search search(ranking, cost, target, most_tries);
    FoundUnits next = search.run();
    if (found.kept.empty() || distance(next.cost, target) < distance(found.cost, target))
      found = std::move(next);
    if (search.has_room()) break;
  }
  return found;
}

}  // namespace vibnet
