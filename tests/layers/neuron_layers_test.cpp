// The layers that compute each value from the one below it alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using testing::FloatNear;
using testing::Pointwise;

[[maybe_unused]] const bool kGradients = add_gradient_cases({
    {"AbsVal", "type: 'AbsVal'", {{3, 4, 5}}, 1, kKinkAtZero},
    {"BNLL", "type: 'BNLL'", {{3, 4, 5}}, 1, kSmooth},
    {"ClipBelow", "type: 'Clip' clip_param { min: 0 max: 9 }", {{3, 4, 5}}, 1, kKinkAtZero},
    {"ClipAbove", "type: 'Clip' clip_param { min: -9 max: 0 }", {{3, 4, 5}}, 1, kKinkAtZero},
    {"ELU", "type: 'ELU' elu_param { alpha: 0.7 }", {{3, 4, 5}}, 1, kKinkAtZero},
    {"ELUNegative", "type: 'ELU' elu_param { alpha: -0.7 }", {{3, 4, 5}}, 1, kKinkAtZero},
    {"Exp", "type: 'Exp' exp_param { base: 2 scale: 0.5 shift: 1 }", {{3, 4, 5}}, 1, kSmooth},
    {"Log", "type: 'Log' log_param { base: 3 scale: 0.5 shift: 4 }", {{3, 4, 5}}, 1, kSmooth},
    {"Power",
     "type: 'Power' power_param { power: 2.5 scale: 0.5 shift: 4 }",
     {{3, 4, 5}},
     1,
     kSmooth},
    {"PowerOne", "type: 'Power' power_param { scale: -2 shift: 1 }", {{3, 4, 5}}, 1, kSmooth},
    {"ReLU6", "type: 'ReLU6'", {{3, 4, 5}}, 1, kKinkAtZero},
    {"HardSwish", "type: 'HardSwish'", {{3, 4, 5}}, 1, kSmooth},
    {"Sigmoid", "type: 'Sigmoid'", {{3, 4, 5}}, 1, kSmooth},
    {"Swish", "type: 'Swish' swish_param { beta: 1.5 }", {{3, 4, 5}}, 1, kSmooth},
    {"TanH", "type: 'TanH'", {{3, 4, 5}}, 1, kSmooth},
    {"PReLU",
     "type: 'PReLU' prelu_param { filler { type: 'gaussian' } }",
     {{3, 4, 2, 3}},
     1,
     kKinkAtZero},
    {"PReLUShared", "type: 'PReLU' prelu_param { channel_shared: true }", {{3, 4}}, 1, kKinkAtZero},
});

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"ClipWithoutBounds", "type: 'Clip'", {{2, 3}}, "clip_param { min: ... max: ... } is missing"},
    {"ExpBase",
     "type: 'Exp' exp_param { base: 0 }",
     {{2, 3}},
     "base must be positive, or -1 for e"},
    {"LogBase", "type: 'Log' log_param { base: -2 }", {{2, 3}}, "base must be positive"},
    {"LogBaseOfOne", "type: 'Log' log_param { base: 1 }", {{2, 3}}, "base cannot be 1"},
    {"LogBaseInfinite", "type: 'Log' log_param { base: inf }", {{2, 3}}, "base must be positive"},
    {"PReLUOfOneAxis", "type: 'PReLU'", {{4}}, "needs a bottom of at least 2 axes, not 4 (4)"},
});

struct Formula {
  const char* prototxt;
  std::vector<float> x;
  std::vector<float> y;
  std::vector<float> slopes;
};

const Formula kFormulas[] = {
    {"type: 'AbsVal'", {-2, 0, 3}, {2, 0, 3}, {-1, 0, 1}},
    {"type: 'BNLL'", {-100, 0, 1, 100}, {0, 0.693147f, 1.313262f, 100}, {0, 0.5f, 0.731059f, 1}},
    {"type: 'Clip' clip_param { min: -0.5 max: 0.8 }",
     {-1, -0.5f, 0.1f, 0.8f, 2},
     {-0.5f, -0.5f, 0.1f, 0.8f, 0.8f},
     {0, 1, 1, 1, 0}},
    {"type: 'ELU'", {-1, 0, 2}, {-0.632121f, 0, 2}, {0.367879f, 1, 1}},
    {"type: 'ELU' elu_param { alpha: 0.7 }", {-1, 0, 2}, {-0.442484f, 0, 2}, {0.257516f, 0.7f, 1}},
    {"type: 'Exp'", {-1, 0, 1}, {0.367879f, 1, 2.718282f}, {0.367879f, 1, 2.718282f}},
    {"type: 'Exp' exp_param { shift: 1 }", {0}, {2.718282f}, {2.718282f}},
    {"type: 'Exp' exp_param { base: 2 scale: 3 shift: 1 }",
     {0, 1},
     {2, 16},
     {4.158883f, 33.27106f}},
    {"type: 'Log'", {1, 2.718282f}, {0, 1}, {1, 0.367879f}},
    {"type: 'Log' log_param { base: 10 scale: 2 shift: 4 }", {3}, {1}, {0.0868589f}},
    {"type: 'Power'", {-3, 0}, {-3, 0}, {1, 1}},
    {"type: 'Power' power_param { power: 2 scale: 0.5 shift: 1 }", {2, -2}, {4, 0}, {2, 0}},
    {"type: 'Power' power_param { power: -1 scale: 2 }", {2}, {0.25f}, {-0.125f}},
    {"type: 'Power' power_param { power: 3 }", {0, -2}, {0, -8}, {0, 12}},
    {"type: 'Power' power_param { power: 0 }", {0, 5}, {1, 1}, {0, 0}},
    {"type: 'Power' power_param { power: 2 scale: 0 shift: 3 }", {7}, {9}, {0}},
    {"type: 'ReLU6'", {-1, 0, 3, 6, 7}, {0, 0, 3, 6, 6}, {0, 0, 1, 0, 0}},
    {"type: 'HardSwish'",
     {-4, -3, -1, 0, 1, 3, 4},
     {0, 0, -1 / 3.0f, 0, 2 / 3.0f, 3, 4},
     {0, 0, 1 / 6.0f, 0.5f, 5 / 6.0f, 1, 1}},
    {"type: 'Sigmoid'", {-200, 0, 1.098612f}, {0, 0.5f, 0.75f}, {0, 0.25f, 0.1875f}},
    {"type: 'Swish'", {0, 1}, {0, 0.731059f}, {0.5f, 0.927671f}},
    {"type: 'Swish' swish_param { beta: 2 }", {0, 1}, {0, 0.880797f}, {0.5f, 1.090784f}},
    {"type: 'TanH'", {0, 1}, {0, 0.761594f}, {1, 0.419974f}},
};

std::vector<float> values(const float* data, const Blob& blob) {
  return {data, data + blob.count()};
}

TEST(NeuronLayers, ValuesAndSlopesAreThoseOfTheFormula) {
  for (const Formula& formula : kFormulas) {
    SCOPED_TRACE(formula.prototxt);
    LayerFixture fixture(formula.prototxt, {{static_cast<int>(formula.x.size())}});
    std::copy(formula.x.begin(), formula.x.end(), fixture.bottom().mutable_cpu_data());
    fixture.forward();
    fixture.backward();
    std::vector<float> slopes = values(fixture.bottom().cpu_diff(), fixture.bottom());
    for (std::size_t i = 0; i < slopes.size(); ++i) slopes[i] /= fixture.top().cpu_diff()[i];
    EXPECT_THAT(values(fixture.top().cpu_data(), fixture.top()),
                Pointwise(FloatNear(1e-5f), formula.y));
    EXPECT_THAT(slopes, Pointwise(FloatNear(1e-5f), formula.slopes));
  }
}

TEST(Threshold, IsOneAboveAndHasNoGradient) {
  LayerFixture fixture("type: 'Threshold' threshold_param { threshold: 0.5 }", {{3}});
  const float x[] = {0, 0.5f, 1};
  std::copy(x, x + 3, fixture.bottom().mutable_cpu_data());
  fixture.forward();
  EXPECT_THAT(values(fixture.top().cpu_data(), fixture.top()), testing::ElementsAre(0, 0, 1));
  EXPECT_NE(error_of([&] { fixture.backward(); }).find("has no gradient"), std::string::npos);
}

/// The top for two channels of two values each.
std::vector<float> prelu(const std::string& parameter, const std::vector<float>& slopes) {
  LayerFixture fixture("type: 'PReLU' prelu_param { " + parameter + " }", {{1, 2, 2}});
  const float x[] = {-4, 2, -8, 1};
  std::copy(x, x + 4, fixture.bottom().mutable_cpu_data());
  Blob& blob = *fixture.layer().blobs()[0];
  if (!slopes.empty()) {
    EXPECT_EQ(blob.count(), static_cast<int>(slopes.size()));
    std::copy(slopes.begin(), slopes.end(), blob.mutable_cpu_data());
  }
  fixture.forward();
  return values(fixture.top().cpu_data(), fixture.top());
}

TEST(PReLU, HasASlopeForEachChannelOrOne) {
  EXPECT_THAT(prelu("", {}), testing::ElementsAre(-1, 2, -2, 1)) << "0.25 without a filler";
  EXPECT_THAT(prelu("filler { value: 2 }", {}), testing::ElementsAre(-8, 2, -16, 1));
  EXPECT_THAT(prelu("", {0.5f, -1}), testing::ElementsAre(-2, 2, 8, 1));
  EXPECT_THAT(prelu("channel_shared: true", {0.5f}), testing::ElementsAre(-2, 2, -4, 1));
}

}  // namespace
}  // namespace vibnet
