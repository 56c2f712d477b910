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
    {"SoftmaxOfTheLastAxis", "type: 'Softmax' softmax_param { axis: -1 }", {{2, 3, 4}}},
});

/// The top for logarithms of 1 3 1 and 4 1 9, 2 x 3.
std::vector<float> softmax_of(const std::string& parameter) {
  LayerFixture fixture("type: 'Softmax' softmax_param { " + parameter + " }", {{2, 3}});
  const float x[] = {0, 1.0986123f, 0, 1.3862944f, 0, 2.1972246f};
  for (int i = 0; i < 6; ++i) fixture.bottom().mutable_cpu_data()[i] = 300 + x[i];
  fixture.forward();
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + 6};
}

TEST(Softmax, SumsToOneAlongItsAxis) {
  const auto near = [](const std::vector<float>& values) {
    return testing::Pointwise(testing::FloatNear(1e-4f), values);
  };
  EXPECT_THAT(softmax_of(""), near({0.2f, 0.6f, 0.2f, 4 / 14.0f, 1 / 14.0f, 9 / 14.0f}));
  EXPECT_THAT(softmax_of("axis: 0"), near({0.2f, 0.75f, 0.1f, 0.8f, 0.25f, 0.9f}));
}

}  // namespace
}  // namespace vibnet
