#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/error_of.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

std::vector<float> dropped(const Context& context, const char* ratio = "0.25") {
  LayerFixture fixture(
      "name: 'd' type: 'Dropout' dropout_param { dropout_ratio: " + std::string(ratio) + " }",
      {{8, 500}}, 1, context);
  fixture.bottom().set_data(3);
  fixture.forward();
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + fixture.top().count()};
}

TEST(Dropout, ZeroesThatShareAndScalesTheRest) {
  const std::vector<float> values = dropped(training_context());
  const auto zeros = std::count(values.begin(), values.end(), 0.0f);
  EXPECT_NEAR(static_cast<double>(zeros) / 4000, 0.25, 0.03);
  EXPECT_EQ(std::count(values.begin(), values.end(), 4.0f), 4000 - zeros);
}

TEST(Dropout, PassesOnInTest) {
  Context context = training_context();
  context.phase = TEST;
  EXPECT_EQ(dropped(context), std::vector<float>(4000, 3.0f));
}

TEST(Dropout, DrawsAnewInEveryIterationAndPassAndTheSameForTheSame) {
  Context context = training_context();
  const std::vector<float> first = dropped(context);
  EXPECT_EQ(dropped(context), first);
  ++context.pass;
  EXPECT_NE(dropped(context), first);
  context.pass = 0;
  ++context.iteration;
  EXPECT_NE(dropped(context), first);
}

TEST(Dropout, RefusesARatioThatLeavesNothing) {
  EXPECT_EQ(error_of([] { dropped(training_context(), "1"); }),
            "layer 'd' (Dropout): dropout_ratio must be in [0, 1), not 1");
}

}  // namespace
}  // namespace vibnet
