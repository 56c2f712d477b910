#include "compress/threshold_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace vibnet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

int count(const Kept& kept, int gate) {
  return static_cast<int>(std::count(kept[gate].begin(), kept[gate].end(), true));
}

/// Every unit of a gate costs the same, whatever the others do.
CostFunction linear(std::vector<double> unit_costs, double fixed = 0) {
  return [=](const Kept& kept) {
    double cost = fixed;
    for (std::size_t gate = 0; gate < kept.size(); ++gate)
      cost += unit_costs[gate] * count(kept, static_cast<int>(gate));
    return cost;
  };
}

Scores random_scores(std::vector<int> sizes, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values(-3, 4);
  Scores scores;
  for (const int size : sizes) {
    scores.emplace_back(size);
    for (float& score : scores.back()) score = values(random);
  }
  return scores;
}

TEST(ThresholdSearch, KeepsTheBestUnitsOfAll) {
  const FoundUnits found = find_units({{3, -2, 1, 0}, {-1, 5}}, linear({1, 1}), 3);
  EXPECT_EQ(found.kept, (Kept{{false, true, false, true}, {true, false}}));
  EXPECT_DOUBLE_EQ(found.cost, 3);
  EXPECT_GT(found.threshold, 0);
  EXPECT_LT(found.threshold, 1);
}

TEST(ThresholdSearch, LeavesEachGateItsBestUnit) {
  const FoundUnits found = find_units({{-9, -8, -7, -6}, {4, 3, kInfinity}}, linear({1, 1}), 2);
  EXPECT_EQ(found.kept, (Kept{{true, false, false, false}, {false, true, false}}));
}

TEST(ThresholdSearch, FindsWhatTheThresholdAloneWouldKeep) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Scores scores = random_scores({40, 7, 90}, seed);
    const CostFunction cost = linear({1, 1, 1});
    const int wanted = 4 + static_cast<int>(seed * 37 % 130);
    const FoundUnits found = find_units(scores, cost, wanted);
    EXPECT_EQ(found.cost, wanted);
    for (int gate = 0; gate < 3; ++gate) {
      const auto best = std::min_element(scores[gate].begin(), scores[gate].end());
      for (std::size_t unit = 0; unit < scores[gate].size(); ++unit) {
        const float score = scores[gate][unit];
        EXPECT_EQ(found.kept[gate][unit], score < found.threshold || score == *best);
      }
    }
  }
}

TEST(ThresholdSearch, FillsUpWithCheapUnitsWhereADearOneStepsOver) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Scores scores = random_scores({6, 200}, seed);
    const double target = 130 + seed * 8;
    const FoundUnits found = find_units(scores, linear({100, 1}), target);
    EXPECT_LE(std::fabs(found.cost / target - 1), kTargetTolerance) << seed;
    EXPECT_DOUBLE_EQ(found.cost, linear({100, 1})(found.kept));
  }
}

TEST(ThresholdSearch, ExchangesUnitsWhereNoneFitsBesides) {
  const FoundUnits found =
      find_units({{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}}, linear({10, 7}), 48);  // 4 and 1 come to 47
  EXPECT_EQ(found.cost, 48);
  EXPECT_EQ(found.kept, (Kept{{true, true, false, false, false}, {true, true, true, true, false}}));
}

TEST(ThresholdSearch, KeepsMoreOfEachGateIfAsked) {
  const Ranking ranking({{1, 2, 3, 4}, {5, 6, 7, 8}});
  EXPECT_EQ(ranking.keep(1, 2), (Kept{{true, true, true, true}, {true, true, true, false}}));
}

TEST(ThresholdSearch, TakesTheNearestWhereNoneIsNear) {
  EXPECT_EQ(find_units({{1, 2, 3}}, linear({10}, 5), 27).cost, 25);
  EXPECT_EQ(find_units({{1, 2, 3}}, linear({10}, 5), 1).cost, 15);
  EXPECT_EQ(find_units({{1, 2, 3}}, linear({10}, 5), 99).cost, 35);
}

TEST(ThresholdSearch, PassesOverUnitsThatMakeNoNet) {
  const CostFunction cost = [](const Kept& kept) { return count(kept, 0) < 3 ? 0.0 : 9.0; };
  EXPECT_EQ(find_units({{1, 2, 3, 4}}, cost, 5).cost, 9);
}

TEST(ThresholdSearch, FindsTheMostUnitsFromAnyHint) {
  const Ranking ranking(random_scores({50, 30}, 1));
  for (int hint = 0; hint <= ranking.size(); hint += 13)
    EXPECT_EQ(units_within(ranking, linear({1, 1}), 42.5, hint), 40) << hint;
}

}  // namespace
}  // namespace vibnet
