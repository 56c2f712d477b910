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

using testing::ElementsAre;

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"ArgMaxTooMany",
     "type: 'ArgMax' argmax_param { top_k: 7 }",
     {{2, 3, 2}},
     "top_k: 7 is not one of 1 to 6"},
    {"ArgMaxTooManyOfTheAxis",
     "type: 'ArgMax' argmax_param { top_k: 4 axis: 1 }",
     {{2, 3, 2}},
     "top_k: 4 is not one of 1 to 3"},
    {"ArgMaxNone", "type: 'ArgMax' argmax_param { top_k: 0 }", {{2, 3}}, "top_k: 0"},
    {"ArgMaxHuge", "type: 'ArgMax' argmax_param { top_k: 4294967295 }", {{2, 3}}, "too large"},
    {"ArgMaxAxis", "type: 'ArgMax' argmax_param { axis: 2 }", {{2, 3}}, "axis 2"},
    {"ArgMaxOfAScalar", "type: 'ArgMax'", {{}}, "axis 0"},
});

/// The top for these values, after its shape was compared.
std::vector<float> argmax(const std::string& parameter, const Shape& bottom,
                          const std::vector<float>& x, const Shape& top) {
  LayerFixture fixture("type: 'ArgMax' argmax_param { " + parameter + " }", {bottom});
  std::copy(x.begin(), x.end(), fixture.bottom().mutable_cpu_data());
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), top);
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + fixture.top().count()};
}

const std::vector<float> kValues = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};

TEST(ArgMax, TakesASampleAsOne) {
  EXPECT_THAT(argmax("", {2, 6}, kValues, {2, 1, 1}), ElementsAre(5, 5));
  EXPECT_THAT(argmax("top_k: 3", {2, 3, 2}, kValues, {2, 1, 3}), ElementsAre(5, 4, 2, 5, 1, 4))
      << "of equals the last comes first";
  EXPECT_THAT(argmax("", {2, 3, 2, 1}, kValues, {2, 1, 1, 1}), ElementsAre(5, 5));
  EXPECT_THAT(argmax("", {3}, kValues, {3, 1, 1}), ElementsAre(0, 0, 0));
}

TEST(ArgMax, GivesTheValuesBehindTheIndices) {
  EXPECT_THAT(argmax("out_max_val: true top_k: 2", {2, 6}, kValues, {2, 2, 2}),
              ElementsAre(5, 4, 9, 5, 5, 1, 8, 6));
}

TEST(ArgMax, GoesAlongItsAxis) {
  EXPECT_THAT(argmax("axis: 1", {2, 3, 2}, kValues, {2, 1, 2}), ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(argmax("axis: -2 top_k: 2", {2, 3, 2}, kValues, {2, 2, 2}),
              ElementsAre(2, 2, 1, 1, 2, 2, 1, 0));
  EXPECT_THAT(argmax("axis: 1 out_max_val: true", {2, 3, 2}, kValues, {2, 1, 2}),
              ElementsAre(5, 9, 5, 8));
}

TEST(ArgMax, HasNoGradient) {
  LayerFixture fixture("type: 'ArgMax'", {{2, 3}});
  fixture.forward();
  EXPECT_NE(error_of([&] { fixture.backward(); }).find("has no gradient"), std::string::npos);
}

}  // namespace
}  // namespace vibnet
