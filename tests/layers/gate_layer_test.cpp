#include "layers/gate_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/gate_rule.h"
#include "support/error_of.h"
#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

/// A gate with parameters that are spread enough for kept and dropped units, and for factors that
/// are clipped at either end.
struct GateCase {
  const char* type;
  const char* field;
  const char* fillers;

  std::string text(const std::string& more = "") const {
    return std::string("name: 'gate' type: '") + type + "' " + field + " { gamma: 0.3 " + fillers +
           " " + more + " }";
  }
};

const GateCase kGates[] = {
    {"InformationBottleneck", "information_bottleneck_param",
     "mu_filler { type: 'gaussian' } log_sigma2_filler { type: 'gaussian' mean: -1 }"},
    {"HardConcrete", "hard_concrete_param", "log_alpha_filler { type: 'gaussian' std: 3 }"}};

class Gate : public testing::TestWithParam<GateCase> {};

INSTANTIATE_TEST_SUITE_P(Layers, Gate, testing::ValuesIn(kGates),
                         [](const auto& info) { return std::string(info.param.type); });

GateLayer& gate_of(LayerFixture* fixture) { return dynamic_cast<GateLayer&>(fixture->layer()); }

Context context_of(Phase phase) {
  Context context = training_context();
  context.phase = phase;
  return context;
}

TEST_P(Gate, WhatIsLeftOfACutLayerDrawsWhatItDrewBefore) {
  const int kept[] = {1, 2, 6, 7, 10};
  LayerFixture whole(GetParam().text(), {{9, 11, 2}});
  LayerFixture cut(GetParam().text("unit: [1, 2, 6, 7, 10]"), {{9, 5, 2}});
  for (int k = 0; k < 5; ++k) {
    for (std::size_t b = 0; b < whole.layer().blobs().size(); ++b)
      cut.layer().blobs()[b]->mutable_cpu_data()[k] = whole.layer().blobs()[b]->cpu_data()[kept[k]];
    for (int n = 0; n < 9; ++n)
      for (int s = 0; s < 2; ++s)
        cut.bottom().mutable_cpu_data()[(n * 5 + k) * 2 + s] =
            whole.bottom().cpu_data()[(n * 11 + kept[k]) * 2 + s];
  }
  for (int iteration = 0; iteration < 3; ++iteration) {
    whole.context().iteration = cut.context().iteration = iteration;
    whole.context().pass = cut.context().pass = iteration % 2;
    whole.forward();
    cut.forward();
    for (int i = 0; i < cut.top().count(); ++i) {
      const int n = i / 10;
      const int k = i / 2 % 5;
      ASSERT_EQ(cut.top().cpu_data()[i], whole.top().cpu_data()[(n * 11 + kept[k]) * 2 + i % 2])
          << "sample " << n << ", unit " << kept[k];
    }
  }
}

TEST_P(Gate, RefusesUnitNumbersThatDoNotFit) {
  EXPECT_NE(error_of([] {
              LayerFixture(GetParam().text("unit: [0, 1, 2]"), {{2, 4}});
            }).find("unit states 3 number(s), and the bottom has 4 channels"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              LayerFixture(GetParam().text("unit: [0, 4000000000]"), {{2, 2}});
            }).find("unit: 4000000000 is too large"),
            std::string::npos);
}

TEST_P(Gate, AFrozenUnitIsZeroInBothPhasesAndTheOthersStay) {
  for (const Phase phase : {TRAIN, TEST}) {
    LayerFixture whole(GetParam().text(), {{4, 6, 3}}, 1, context_of(phase));
    LayerFixture frozen(GetParam().text(), {{4, 6, 3}}, 1, context_of(phase));
    gate_of(&frozen).freeze({false, true, false, false, false, false});
    gate_of(&frozen).freeze({false, false, false, false, true, false});
    whole.forward();
    frozen.forward();
    for (int i = 0; i < whole.top().count(); ++i) {
      const int c = i / 3 % 6;
      const float expected = c == 1 || c == 4 ? 0 : whole.top().cpu_data()[i];
      ASSERT_EQ(frozen.top().cpu_data()[i], expected) << Phase_Name(phase) << ", unit " << c;
    }
    const std::vector<float> scores = gate_of(&frozen).scores();
    for (int c = 0; c < 6; ++c) {
      const bool dead = c == 1 || c == 4;
      EXPECT_EQ(std::isinf(scores[c]), dead);
      EXPECT_EQ(gate_of(&frozen).kept()[c], !dead && gate_of(&whole).kept()[c]);
    }
  }
}

TEST_P(Gate, GradientsOfALayerWithFrozenUnits) {
  for (const Phase phase : {TRAIN, TEST}) {
    LayerFixture fixture(GetParam().text(), {{4, 6, 3}}, 1, context_of(phase));
    gate_of(&fixture).freeze({false, true, false, false, true, false});
    fixture.context().kl_weight = phase == TRAIN ? 1 : 0;  // TEST has no gradient of the penalty
    check_gradients(&fixture, {2e-3, 1e-2});
    fixture.forward();
    fixture.backward();
    for (const auto& blob : fixture.layer().blobs())
      for (const int c : {1, 4}) EXPECT_EQ(blob->cpu_diff()[c], 0);
    for (int n = 0; n < 4; ++n)
      for (const int c : {1, 4}) EXPECT_EQ(fixture.bottom().cpu_diff()[(n * 6 + c) * 3], 0);
  }
}

TEST_P(Gate, FrozenUnitsCostNothing) {
  LayerFixture whole(GetParam().text(), {{2, 3}});
  LayerFixture first(GetParam().text(), {{2, 3}});
  LayerFixture others(GetParam().text(), {{2, 3}});
  gate_of(&first).freeze({true, false, false});
  gate_of(&others).freeze({false, true, true});
  EXPECT_NEAR(first.layer().penalty() + others.layer().penalty(), whole.layer().penalty(), 1e-9);
  EXPECT_GT(others.layer().penalty(), 0);
  gate_of(&others).freeze({true, false, false});
  EXPECT_EQ(others.layer().penalty(), 0);
}

TEST_P(Gate, GradientsOfALayerWithSparedUnits) {
  LayerFixture fixture(GetParam().text(), {{3, 6, 2}}, 1, context_of(TRAIN));
  gate_of(&fixture).spare({false, true, false, false, true, false});
  check_gradients(&fixture, {2e-3, 1e-2});
}

TEST_P(Gate, SparedUnitsCostNothingAndComeBackUnderThePressure) {
  LayerFixture first(GetParam().text(), {{1, 3}}, 1, context_of(TRAIN));
  LayerFixture others(GetParam().text(), {{1, 3}}, 1, context_of(TRAIN));
  const double whole = first.layer().penalty();
  gate_of(&first).spare({true, false, false});
  gate_of(&others).spare({false, true, true});
  EXPECT_NEAR(first.layer().penalty() + others.layer().penalty(), whole, 1e-6 * whole);
  EXPECT_EQ(gate_of(&others).spared(), (std::vector<bool>{false, true, true}));
  gate_of(&others).spare({false, false, false});
  EXPECT_EQ(others.layer().penalty(), whole);
}

/// The gradients of all units, blob after blob.
std::vector<double> gradients(float kl_weight, LayerFixture* fixture) {
  fixture->context().kl_weight = kl_weight;
  fixture->forward();
  fixture->backward();
  std::vector<double> all;
  for (const auto& blob : fixture->layer().blobs())
    all.insert(all.end(), blob->cpu_diff(), blob->cpu_diff() + blob->count());
  return all;
}

TEST_P(Gate, ThePullIsThatOfTheKeptUnitsThatArePressed) {
  LayerFixture fixture(GetParam().text(), {{3, 16, 2}}, 1, context_of(TRAIN));
  GateLayer& gate = gate_of(&fixture);
  const std::vector<bool> kept = gate.kept();
  ASSERT_THAT(kept, testing::Contains(false));
  std::vector<bool> spared(16, false);
  spared[std::find(kept.begin(), kept.end(), true) - kept.begin()] = true;
  gate.spare(spared);
  const std::vector<double> of_data = gradients(0, &fixture);
  const std::vector<double> of_both = gradients(0.5f, &fixture);
  double data = 0;
  double kl = 0;
  for (std::size_t i = 0; i < of_both.size(); ++i) {
    if (!kept[i % 16] || spared[i % 16]) continue;
    data += of_data[i] * of_data[i];
    kl += (of_both[i] - of_data[i]) * (of_both[i] - of_data[i]);
  }
  ASSERT_GT(kl, 0);
  EXPECT_NEAR(gate.pull().data / data, 1, 1e-4);
  EXPECT_NEAR(gate.pull().kl / kl, 1, 1e-4);
}

TEST_P(Gate, ThePullOfSeveralPassesIsThatOfTheirSum) {
  LayerFixture fixture(GetParam().text(), {{3, 16, 2}}, 1, context_of(TRAIN));
  gradients(0.5f, &fixture);
  const GatePull once = gate_of(&fixture).pull();
  for (const auto& blob : fixture.layer().blobs())
    for (int u = 0; u < 16; ++u) blob->mutable_cpu_diff()[u] *= 2;
  fixture.context().passes = 2;
  EXPECT_NEAR(gate_of(&fixture).pull().data / once.data, 4, 1e-4);
  EXPECT_NEAR(gate_of(&fixture).pull().kl / once.kl, 4, 1e-9);
}

TEST_P(Gate, FreezingAsksForOneWordAUnit) {
  LayerFixture fixture(GetParam().text(), {{2, 3}});
  EXPECT_NE(error_of([&] {
              gate_of(&fixture).freeze({true, false});
            }).find("has 3 units, and 2"),
            std::string::npos);
}

TEST_P(Gate, TheRuleForTheCompressorIsTheLayersOwn) {
  LayerFixture fixture(GetParam().text(), {{1, 40}}, 1, context_of(TEST));
  LayerParameter stored = fixture.layer().parameter();
  for (const auto& blob : fixture.layer().blobs()) blob->to_proto(stored.add_blobs());
  ASSERT_TRUE(is_gate(stored.type()));
  EXPECT_EQ(stored.blobs_size(), gate_blobs(stored.type()));
  const std::vector<GateUnit> units = gate_units(stored);
  ASSERT_EQ(units.size(), 40u);
  fixture.bottom().set_data(1);
  fixture.forward();
  const std::vector<bool> kept = gate_of(&fixture).kept();
  int dropped = 0;
  for (int c = 0; c < 40; ++c) {
    const bool passes = units[c].score < gate_threshold(stored);
    EXPECT_EQ(kept[c], passes);
    EXPECT_EQ(fixture.top().cpu_data()[c], passes ? units[c].factor : 0);
    dropped += passes ? 0 : 1;
  }
  EXPECT_GT(dropped, 0);
  EXPECT_LT(dropped, 40);
}

}  // namespace
}  // namespace vibnet
