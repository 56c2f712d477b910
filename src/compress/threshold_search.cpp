#include "compress/threshold_search.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace vibnet {
namespace {

/// How many of a gate's units make room for others'.
constexpr int kMostExchanged = 4;
/// Gates of large nets are many, and have units enough to do without exchanges.
constexpr int kMostTries = 2000;

class Search {
 public:
  Search(const Ranking& ranking, const CostFunction& cost, double target)
      : ranking_(ranking), cost_(cost), target_(target) {}

  FoundUnits run() {
    const int count = units_within(ranking_, cost_, target_, ranking_.size() / 2);
    try_units(ranking_.keep(count));
    if (count < ranking_.size()) {
      try_units(ranking_.keep(count + 1));
      move_units(count, ranking_.size(), 1, ranking_.keep(count));
      move_units(count, -1, -1, ranking_.keep(count + 1));
      exchange_units();
    }
    best_.threshold = threshold_behind(count);
    return best_;
  }

 private:
  double distance(double cost) const {
    return cost > 0 ? std::fabs(std::log(cost / target_)) : HUGE_VAL;
  }
  bool is_done() const { return is_on_target(best_.cost, target_); }

  double try_units(const Kept& kept) {
    ++tries_;
    const double cost = cost_(kept);
    if (best_.kept.empty() || distance(cost) < distance(best_.cost)) best_ = {kept, cost, 0};
    return cost;
  }

  /// Goes along the ranking and brings units in (direction 1) or takes them out (-1), but for those
  /// of a gate of which one was seen to step over the target by too much, or to change nothing.
  void move_units(int from, int end, int direction, Kept kept, std::set<int> passed_over = {}) {
    if (is_done()) return;
    const bool comes = direction > 0;
    double present = cost_(kept);
    for (int rank = from; rank != end && !is_done(); rank += direction) {
      if (passed_over.count(ranking_.gate(rank)) > 0) continue;
      if (ranking_.is_kept(rank, kept) == comes) continue;
      Kept moved = kept;
      ranking_.set(rank, comes, &moved);
      const double cost = try_units(moved);
      const bool steps_over = comes ? cost > target_ : cost < target_;
      if (steps_over || cost == present) {
        passed_over.insert(ranking_.gate(rank));
        continue;
      }
      present = cost;
      kept = std::move(moved);
    }
  }

  /// Takes the last units of one gate out, and brings in what fits of the others.
  void exchange_units() {
    const Kept start = best_.kept;
    tries_ = 0;
    for (int count = 1; count <= kMostExchanged; ++count)
      for (int gate = 0; gate < static_cast<int>(start.size()); ++gate) {
        Kept fewer = start;
        if (is_done() || tries_ > kMostTries) return;
        if (!take_last(count, gate, &fewer) || cost_(fewer) > target_) continue;
        move_units(0, ranking_.size(), 1, fewer, {gate});
      }
  }

  /// False where the gate has not so many to give.
  bool take_last(int count, int gate, Kept* kept) const {
    for (int rank = ranking_.size() - 1; rank >= 0 && count > 0; --rank) {
      if (ranking_.gate(rank) != gate || !ranking_.is_kept(rank, *kept)) continue;
      ranking_.set(rank, false, kept);
      --count;
    }
    return count == 0;
  }

  float threshold_behind(int count) const {
    if (ranking_.size() == 0) return 0;
    const float first_cut = ranking_.score(std::min(count, ranking_.size() - 1));
    if (count == ranking_.size()) return std::nextafter(first_cut, HUGE_VALF);
    if (count == 0) return first_cut;
    const float last_kept = ranking_.score(count - 1);
    const float middle = last_kept + (first_cut - last_kept) / 2;
    return middle > last_kept && middle < first_cut ? middle : first_cut;
  }

  const Ranking& ranking_;
  const CostFunction& cost_;
  double target_;
  FoundUnits best_;
  int tries_ = 0;
};

}  // namespace

bool is_on_target(double cost, double target) {
  return std::fabs(cost / target - 1) <= kTargetTolerance;
}

Ranking::Ranking(const Scores& scores) {
  for (std::size_t gate = 0; gate < scores.size(); ++gate) {
    least_.emplace_back(scores[gate].size());
    const auto best = std::min_element(
        scores[gate].begin(), scores[gate].end(),
        [](float a, float b) { return a < b || (!std::isnan(a) && std::isnan(b)); });
    for (auto unit = scores[gate].begin(); unit != scores[gate].end(); ++unit) {
      const int index = static_cast<int>(unit - scores[gate].begin());
      if (unit == best)
        least_.back()[index] = true;
      else if (!std::isnan(*unit))
        units_.push_back({*unit, static_cast<int>(gate), index});
    }
  }
  std::sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.score, a.gate, a.index) < std::tie(b.score, b.gate, b.index);
  });
}

Kept Ranking::keep(int count, int more_of_each) const {
  Kept kept = least_;
  std::vector<int> more(least_.size(), 0);
  for (int rank = 0; rank < size(); ++rank)
    if (rank < count || ++more[gate(rank)] <= more_of_each) set(rank, true, &kept);
  return kept;
}

int units_within(const Ranking& ranking, const CostFunction& cost, double target, int hint,
                 int precision) {
  const auto fits = [&](int count) { return cost(ranking.keep(count)) <= target; };
  int within = 0;
  int above = ranking.size() + 1;
  int step = std::max(precision, ranking.size() / 32);
  for (int probe = std::clamp(hint, 1, std::max(1, ranking.size())); above - within > precision;) {
    if (probe <= within || probe >= above) probe = within + (above - within) / 2;
    const bool is_within = fits(probe);
    (is_within ? within : above) = probe;
    probe += is_within ? step : -step;
    step *= 2;
  }
  return within;
}

FoundUnits find_units(const Scores& scores, const CostFunction& cost, double target) {
  return Search(Ranking(scores), cost, target).run();
}

}  // namespace vibnet
