#include "solver/target_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace vibnet {
namespace {

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
      control.steer(look * 0.02, 0.02, unit.score());
      for (int part = 0; part < 2; ++part) unit.live(control.kl_weight(), 0.01);
      highest = std::max(highest, unit.score());
    }
    EXPECT_NEAR(unit.score(), 0, 0.3) << stubbornness;
    EXPECT_LT(highest, 0.5) << stubbornness;
  }
}

TEST(TargetControl, GoesOnFromItsMemory) {
  TargetControl whole(2);
  for (int look = 0; look < 30; ++look) whole.steer(look * 0.01, 0.01, -9 + 0.2 * look);
  TargetControl resumed(2);
  resumed.restore(whole.kl_weight(), whole.memory().data());
  whole.steer(0.3, 0.01, -2.5);
  resumed.steer(0.3, 0.01, -2.5);
  EXPECT_EQ(whole.kl_weight(), resumed.kl_weight());
  EXPECT_EQ(whole.memory(), resumed.memory());
}

}  // namespace
}  // namespace vibnet
