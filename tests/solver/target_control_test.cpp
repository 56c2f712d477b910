#include "solver/target_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace vibnet {
namespace {

constexpr double kAny = std::numeric_limits<double>::infinity();

/// A unit as training makes it behave: its score goes, late and no faster than it can, to where the
/// pressure balances the data.
class Unit {
 public:
  explicit Unit(double stubbornness) : stubbornness_(stubbornness) {}

  void live(double kl_weight, double since) {
    const double rest = std::log(kl_weight) - stubbornness_;
    score_ += std::clamp((rest - score_) * since / 0.05, -30 * since, 30 * since);
  }
  double score() const { return score_; }

 private:
  double stubbornness_;
  double score_ = -9;
};

TEST(TargetControl, LeadsTheMarginalUnitToItsThreshold) {
  for (const double stubbornness : {-4.0, -1.0, 0.0, 1.0, 4.0}) {
    TargetControl control(1);
    Unit unit(stubbornness);
    double highest = -9;
    for (int look = 0; look < 35; ++look) {
      control.steer(look * 0.02, 0.02, unit.score(), kAny);
      for (int part = 0; part < 2; ++part) unit.live(control.kl_weight(), 0.01);
      highest = std::max(highest, unit.score());
    }
    EXPECT_NEAR(unit.score(), 0, 0.3) << stubbornness;
    EXPECT_LT(highest, 0.5) << stubbornness;
  }
}

TEST(TargetControl, StaysBelowTheMost) {
  TargetControl control(1);
  for (int look = 0; look < 30; ++look) {
    control.steer(look * 0.02, 0.02, -9, 5);
    EXPECT_LE(control.kl_weight(), 5 * (1 + 1e-9));
  }
  EXPECT_NEAR(control.kl_weight(), 5, 1e-9);
  control.steer(0.6, 0.02, -9, 4);
  EXPECT_NEAR(control.kl_weight(), 4, 1e-9);
}

TEST(TargetControl, FallsAtOnceAfterAStayAtTheMost) {
  TargetControl control(1);
  for (int look = 0; look < 30; ++look) control.steer(look * 0.02, 0.02, -9, 5);
  control.steer(0.6, 0.02, 1, 5);
  EXPECT_LT(control.kl_weight(), 4);
}

TEST(TargetControl, ComesDownToTheMostNoFasterThanItMayChange) {
  TargetControl control(1);
  control.steer(0, 0.02, -9, 1e-6);
  EXPECT_NEAR(control.kl_weight(), std::exp(-40 * 0.02), 1e-9);
}

TEST(TargetControl, GoesOnFromItsMemory) {
  TargetControl whole(2);
  for (int look = 0; look < 30; ++look) whole.steer(look * 0.01, 0.01, -9 + 0.2 * look, kAny);
  TargetControl resumed(2);
  resumed.restore(whole.kl_weight(), whole.memory().data());
  whole.steer(0.3, 0.01, -2.5, kAny);
  resumed.steer(0.3, 0.01, -2.5, kAny);
  EXPECT_EQ(whole.kl_weight(), resumed.kl_weight());
  EXPECT_EQ(whole.memory(), resumed.memory());
}

}  // namespace
}  // namespace vibnet
