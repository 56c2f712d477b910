#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

const bool kCases =
    add_gradient_cases(
        {{"HardConcrete",
          "type: 'HardConcrete' hard_concrete_param { gamma: 0.3 kl_scale: CHANNEL "
          "log_alpha_filler { type: 'gaussian' std: 2 } }",
          {{4, 6}},
          1,
          {2e-3, 1e-2}},
         {"HardConcreteSpatial",
          "type: 'HardConcrete' hard_concrete_param { gamma: 0.3 beta: 0.4 left: -0.2 right: 1.3 "
          "log_alpha_filler { type: 'gaussian' std: 2 } }",
          {{4, 3, 2, 3}},
          1,
          {2e-3, 1e-2}},
         {"HardConcreteWidth",
          "type: 'HardConcrete' hard_concrete_param { gamma: 2 kl_scale: WIDTH }",
          {{3, 4, 2, 3}},
          1,
          {2e-3, 1e-2}}}) &&
    add_wrong_cases({{"HardConcreteBeta",
                      "type: 'HardConcrete' hard_concrete_param { beta: 0 }",
                      {{2, 3}},
                      "beta: 0 must be above 0"},
                     {"HardConcreteLeft",
                      "type: 'HardConcrete' hard_concrete_param { left: 0 }",
                      {{2, 3}},
                      "left: 0 must be below 0"},
                     {"HardConcreteRight",
                      "type: 'HardConcrete' hard_concrete_param { right: 1 }",
                      {{2, 3}},
                      "right: 1 must be above 1"},
                     {"HardConcreteGamma",
                      "type: 'HardConcrete' hard_concrete_param { gamma: -1 }",
                      {{2, 3}},
                      "gamma: -1 cannot be negative"},
                     {"HardConcreteOfOneAxis",
                      "type: 'HardConcrete'",
                      {{4}},
                      "needs a bottom of at least 2 axes"}});

constexpr int kSamples = 20000;

/// The distribution function of the stretched variable before it is clipped (the paper's appendix).
double chance_below(double value, double log_alpha, double beta, double left, double right) {
  const double s = (value - left) / (right - left);
  return 1 / (1 + std::exp(-((std::log(s) - std::log(1 - s)) * beta - log_alpha)));
}

TEST(HardConcrete, FactorsHaveThePapersDistribution) {
  LayerFixture fixture("type: 'HardConcrete' hard_concrete_param { beta: 0.5 left: -0.2 }",
                       {{kSamples, 3, 2}});
  const float log_alpha[] = {-1, 0.5f, 2};
  std::copy_n(log_alpha, 3, fixture.layer().blobs()[0]->mutable_cpu_data());
  fixture.bottom().set_data(1);
  fixture.forward();
  const float* y = fixture.top().cpu_data();
  for (int c = 0; c < 3; ++c) {
    const auto share = [&](const auto& holds) {
      int count = 0;
      for (int n = 0; n < kSamples; ++n) count += holds(y[n * 6 + c * 2]) ? 1 : 0;
      return static_cast<double>(count) / kSamples;
    };
    const auto expected = [&](double value) {
      return chance_below(value, log_alpha[c], 0.5, -0.2, 1.1);
    };
    for (int n = 0; n < kSamples; ++n)
      ASSERT_EQ(y[n * 6 + c * 2], y[n * 6 + c * 2 + 1]);  // one draw for all positions
    EXPECT_NEAR(share([](float z) { return z == 0; }), expected(0), 0.012);
    EXPECT_NEAR(share([](float z) { return z < 1; }), expected(1), 0.012);
    for (const float value : {0.1f, 0.5f, 0.8f})
      EXPECT_NEAR(share([&](float z) { return z <= value; }), expected(value), 0.012);
  }
}

/// The penalty is the chance that the factor is not 0.
TEST(HardConcrete, PenaltyIsTheExpectedNumberOfOpenGates) {
  LayerFixture fixture("type: 'HardConcrete' hard_concrete_param { gamma: 0.5 }", {{2, 3, 4, 5}});
  double expected = 0;
  for (int c = 0; c < 3; ++c) {
    fixture.layer().blobs()[0]->mutable_cpu_data()[c] = static_cast<float>(2 * c - 3);
    expected += 1 - chance_below(0, 2 * c - 3, 2.0 / 3, -0.1, 1.1);
  }
  fixture.context().kl_weight = 0.1f;
  EXPECT_NEAR(fixture.layer().penalty(), 0.5 * 0.1 * 20 * expected, 1e-6);
}

TEST(HardConcrete, StartsOpen) {
  LayerFixture fixture("type: 'HardConcrete'", {{2, 500}});
  const float* log_alpha = fixture.layer().blobs()[0]->cpu_data();
  double mean = 0;
  for (int c = 0; c < 500; ++c) mean += log_alpha[c] / 500;
  EXPECT_NEAR(mean, 2.2, 0.003);
  EXPECT_EQ(fixture.layer().default_decay_mult(0), 0);
}

TEST(HardConcrete, IsKeptWhileItsTestFactorIsAboveZero) {
  LayerParameter layer;
  layer.set_type("HardConcrete");
  for (const float left : {-0.1f, -0.3f, -2.0f}) {
    layer.mutable_hard_concrete_param()->set_left(left);
    const auto edge = static_cast<float>(std::log(-left / 1.1));
    std::vector<float> log_alpha = {-1e4f, -30, -3, 0, 3, 30, 1e4f};
    float below = edge;
    float above = edge;
    for (int i = 0; i < 20; ++i) {
      log_alpha.push_back(below = std::nextafter(below, -1e9f));
      log_alpha.push_back(above = std::nextafter(above, 1e9f));
    }
    std::sort(log_alpha.begin(), log_alpha.end());
    const int units = static_cast<int>(log_alpha.size());
    const std::vector<GateUnit> all = gate_units(layer, units, {log_alpha.data()});
    int kept = 0;
    for (int c = 0; c < units; ++c) {
      EXPECT_EQ(all[c].score<gate_threshold(layer), all[c].factor> 0) << log_alpha[c];
      kept += all[c].factor > 0 ? 1 : 0;
      if (c == 0) continue;
      EXPECT_LE(all[c].score, all[c - 1].score) << log_alpha[c];
      EXPECT_GE(all[c].factor, all[c - 1].factor) << log_alpha[c];
    }
    EXPECT_GT(kept, 20);
    EXPECT_LT(kept, units - 20);
    EXPECT_EQ(all.back().factor, 1);
  }
}

TEST(HardConcrete, StaysFiniteAtTheLimits) {
  for (const float log_alpha : {-1e30f, -200.0f, 200.0f, 1e30f}) {
    LayerFixture fixture("type: 'HardConcrete' hard_concrete_param { beta: 0.01 }", {{50, 2}});
    fixture.layer().blobs()[0]->set_data(log_alpha);
    fixture.forward();
    fixture.backward();
    EXPECT_TRUE(std::isfinite(fixture.layer().penalty())) << log_alpha;
    EXPECT_TRUE(std::isfinite(fixture.layer().blobs()[0]->cpu_diff()[0])) << log_alpha;
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(std::isfinite(fixture.top().cpu_data()[i]));
  }
}

}  // namespace
}  // namespace vibnet
