#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

[[maybe_unused]] const bool kGradients = add_gradient_cases({
    {"Bias", "type: 'Bias' bias_param { filler { type: 'gaussian' } }", {{3, 4, 2, 3}}},
    {"BiasOfAllAxes", "type: 'Bias' bias_param { axis: 1 num_axes: -1 }", {{3, 4, 2}}},
    {"BiasScalar", "type: 'Bias' bias_param { num_axes: 0 }", {{3, 4, 2}}},
    {"BiasByBottom", "type: 'Bias' bias_param { axis: 0 }", {{3, 4, 2}, {3, 4}}},
});

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"BiasShape",
     "type: 'Bias' bias_param { axis: 0 }",
     {{3, 4}, {4}},
     "the bias is 4 (4), which does not fit the bottom, 3x4 (12), from axis 0 on"},
    {"BiasAxes", "type: 'Bias' bias_param { num_axes: 2 }", {{3, 4}}, "num_axes: 2 reaches past"},
    {"BiasNegativeAxes", "type: 'Bias' bias_param { num_axes: -2 }", {{3, 4}}, "num_axes: -2"},
    {"BiasAxis", "type: 'Bias' bias_param { axis: 2 }", {{3, 4}}, "axis 2"},
});

/// What a layer of parameter 0 1 2 ... adds to zeros of 2 x 3 x 2.
std::vector<float> added(const std::string& parameter, const Shape& shape) {
  LayerFixture fixture("type: 'Bias' bias_param { " + parameter + " }", {{2, 3, 2}});
  fixture.bottom().set_data(0);
  Blob& bias = *fixture.layer().blobs()[0];
  EXPECT_EQ(bias.shape(), shape);
  EXPECT_EQ(bias.cpu_data()[0], 0.5f);
  for (int i = 0; i < bias.count(); ++i) bias.mutable_cpu_data()[i] = static_cast<float>(i);
  fixture.forward();
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + fixture.top().count()};
}

TEST(Bias, IsBroadcastOverTheOtherAxes) {
  using testing::ElementsAre;
  const std::string filler = "filler { value: 0.5 } ";
  EXPECT_THAT(added(filler, {3}), ElementsAre(0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2));
  EXPECT_THAT(added(filler + "axis: -1", {2}), ElementsAre(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1));
  EXPECT_THAT(added(filler + "axis: 0 num_axes: 2", {2, 3}),
              ElementsAre(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5));
  EXPECT_THAT(added(filler + "num_axes: -1", {3, 2}),
              ElementsAre(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5));
  EXPECT_THAT(added(filler + "num_axes: 0", {}), testing::Each(0));
}

}  // namespace
}  // namespace vibnet
