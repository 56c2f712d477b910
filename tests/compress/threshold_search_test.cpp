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

/// LeNet-5's gates: two convolutions', that of the values between, and the hidden layer's.
struct LeNet {
  int conv1 = 20;
  int conv2 = 50;
  int places = 16;
  int hidden = 500;

  std::vector<int> sizes() const { return {conv1, conv2, conv2 * places, hidden}; }

  /// FLOPs, by counts of what lives.
  double cost(double channels1, double channels2, double values, double units) const {
    if (channels1 == 0 || channels2 == 0 || values == 0 || units == 0) return 0;
    return 2 *
           (576 * 25 * channels1 + 64 * 25 * channels1 * channels2 + values * units + 10 * units);
  }
  /// A channel of conv2 and its values need each other.
  double operator()(const Kept& kept) const {
    int channels = 0;
    int values = 0;
    for (int c = 0; c < conv2; ++c) {
      const auto first = kept[2].begin() + c * places;
      const auto living = std::count(first, first + places, true);
      if (!kept[1][c] || living == 0) continue;
      ++channels;
      values += static_cast<int>(living);
    }
    return cost(count(kept, 0), channels, values, count(kept, 3));
  }
  double whole() const { return cost(conv1, conv2, conv2 * places, hidden); }
};

/// Each gate's units around a mean of its own, and a channel's values around the channel's.
Scores random_scores_of(const LeNet& net, std::mt19937* random) {
  std::normal_distribution<float> wide(-3, 4);
  std::normal_distribution<float> narrow(0, 1.5F);
  Scores scores;
  for (const int size : net.sizes()) {
    const float mean = wide(*random);
    scores.emplace_back(size);
    for (float& score : scores.back()) score = mean + narrow(*random);
  }
  const bool is_trained = (*random)() % 2 == 0;
  for (int v = 0; is_trained && v < net.conv2 * net.places; ++v)
    scores[2][v] = scores[1][v / net.places] + narrow(*random);
  return scores;
}

TEST(ThresholdSearch, ComesToAnySizeOfLeNetByAnyRanking) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> logs(std::log(0.02), std::log(0.9));
  const LeNet net;
  for (int draw = 0; draw < 1000; ++draw) {
    const Scores scores = random_scores_of(net, &random);
    const double target = std::exp(logs(random)) * net.whole();
    const FoundUnits found = find_units(scores, std::cref(net), target);
    ASSERT_TRUE(is_on_target(found.cost, target)) << draw << ": " << found.cost / target;
    ASSERT_EQ(found.cost, net(found.kept));
    // An eighth of what a net shrunk alike keeps of each gate.
    const double alike = std::sqrt(target / net.whole()) / 8;
    for (int gate = 0; gate < 4; ++gate)
      ASSERT_GE(count(found.kept, gate), std::floor(alike * net.sizes()[gate])) << draw;
  }
}

/// Whether some net that keeps the best so many units of each gate meets the target.
bool is_met_by_counts(const LeNet& net, const Scores& scores, double target) {
  const std::vector<int> sizes = net.sizes();
  std::vector<Ranking> best;
  for (const auto& gate : scores) best.emplace_back(Scores{gate});
  std::vector<int> n(4, 1);
  for (n[0] = 1; n[0] <= sizes[0]; ++n[0])
    for (n[1] = 1; n[1] <= sizes[1]; ++n[1])
      for (n[2] = 1; n[2] <= sizes[2]; ++n[2])
        for (n[3] = 1; n[3] <= sizes[3]; ++n[3]) {
          Kept kept;
          for (int gate = 0; gate < 4; ++gate) kept.push_back(best[gate].keep(n[gate] - 1)[0]);
          if (is_on_target(net(kept), target)) return true;
        }
  return false;
}

TEST(ThresholdSearch, FindsWhatCountsOfASmallNetCanMeet) {
  std::mt19937 random(2);
  std::uniform_real_distribution<double> logs(std::log(0.1), std::log(0.9));
  const LeNet net{3, 5, 2, 6};
  int met = 0;
  int found = 0;
  for (int draw = 0; draw < 1000; ++draw) {
    const Scores scores = random_scores_of(net, &random);
    const double target = std::exp(logs(random)) * net.whole();
    if (!is_met_by_counts(net, scores, target)) continue;
    ++met;
    found += is_on_target(find_units(scores, std::cref(net), target).cost, target);
  }
  EXPECT_GT(met, 100);
  EXPECT_GE(found, 0.98 * met);  // 236 of 238: more than one gate would have to exchange units
}

TEST(ThresholdSearch, GoesOnBehindAUnitThatIsTooDear) {
  // All of conv1 ranks first, and its third unit alone steps over the target.
  const LeNet net;
  std::mt19937 random(3);
  Scores scores = random_scores_of(net, &random);
  for (float& score : scores[0]) score -= 100;
  const double target = 0.98 * net.cost(3, 1, 1, 1);
  const FoundUnits found = find_units(scores, std::cref(net), target);
  EXPECT_TRUE(is_on_target(found.cost, target)) << found.cost / target;
  EXPECT_EQ(count(found.kept, 0), 2);
  EXPECT_GT(count(found.kept, 1), 2);
  EXPECT_GT(count(found.kept, 3), 8);
}

TEST(ThresholdSearch, BringsInUnitsThatOnlyTogetherChangeTheCost) {
  // Two gates around one consumer, of which each other's last are the best, and one before them
  // whose units are too dear.
  const CostFunction cost = [](const Kept& kept) {
    double pairs = 0;
    for (int unit = 0; unit < 10; ++unit) pairs += kept[1][unit] && kept[2][unit];
    return 30 * count(kept, 0) + 10 * pairs;
  };
  Scores scores = {{1, 2, 3}, {}, {}};
  for (int unit = 0; unit < 10; ++unit) {
    scores[1].push_back(static_cast<float>(10 + unit));
    scores[2].push_back(static_cast<float>(20 - unit));
  }
  EXPECT_EQ(find_units(scores, cost, 50).cost, 50);
}

TEST(ThresholdSearch, KeepsOneChannelOfASumWhereThereIsRoomForNoMore) {
  // Three branches of a sum; a channel is there if any adds to it.
  const CostFunction cost = [](const Kept& kept) {
    double channels = 0;
    for (int c = 0; c < 4; ++c) channels += kept[0][c] || kept[1][c] || kept[2][c];
    return channels;
  };
  const Scores scores = {{1, 2, 3, 4}, {4, 1, 2, 3}, {3, 4, 1, 2}};
  EXPECT_EQ(least_cost(scores, cost, 1), 1);
  EXPECT_EQ(least_cost(scores, cost, 3), 3);  // will do
  for (const double target : {1.0, 2.0, 3.0, 4.0})
    EXPECT_EQ(find_units(scores, cost, target).cost, target);
}

TEST(ThresholdSearch, TakesOneUnitOfTwoGatesOnOneWayForTheLeast) {
  const CostFunction cost = [](const Kept& kept) {
    double channels = 0;
    for (int c = 0; c < 4; ++c) channels += kept[0][c] && kept[1][c];
    return channels;
  };
  const Scores scores = {{1, 2, 3, 4}, {4, 3, 2, 1}};
  EXPECT_EQ(least_cost(scores, cost, 1), 1);
  EXPECT_EQ(find_units(scores, cost, 1).cost, 1);
}

}  // namespace
}  // namespace vibnet
