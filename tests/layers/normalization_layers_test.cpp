// LRN and MVN.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/layer_cases.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

[[maybe_unused]] const bool kGradientsAdded = add_gradient_cases({
    {"LRN", "type: 'LRN' lrn_param { local_size: 3 alpha: 2 beta: 0.6 k: 1.5 }", {{2, 5, 2, 3}}},
    {"LRNOfFewChannels", "type: 'LRN' lrn_param { local_size: 7 alpha: 2 }", {{2, 3, 2, 2}}},
    {"LRNWithinChannel",
     "type: 'LRN' lrn_param { local_size: 3 alpha: 2 beta: 0.6 k: 9 norm_region: WITHIN_CHANNEL }",
     {{2, 2, 4, 3}}},
    {"MVN", "type: 'MVN'", {{2, 3, 2, 3}}},
    {"MVNAcrossChannels", "type: 'MVN' mvn_param { across_channels: true }", {{2, 3, 2, 3}}},
    {"MVNMeanOnly",
     "type: 'MVN' mvn_param { normalize_variance: false across_channels: true }",
     {{2, 3, 2, 3}}},
});

[[maybe_unused]] const bool kWrongAdded = add_wrong_cases({
    {"LRNEvenSize", "type: 'LRN' lrn_param { local_size: 4 }", {{2, 3, 4, 4}}, "must be odd"},
    {"LRNAxes", "type: 'LRN'", {{2, 3, 4}}, "works on N x C x H x W, and the bottom is 2x3x4"},
    {"MVNAxes", "type: 'MVN'", {{2, 3, 4, 1, 1}}, "works on at most 4 axes"},
});

TEST(LRN, DividesByTheNeighbouringChannels) {
  LayerFixture fixture("type: 'LRN' lrn_param { local_size: 3 alpha: 0.6 beta: 0.5 k: 2 }",
                       {{2, 4, 2, 3}});
  fixture.forward();
  const float* x = fixture.bottom().cpu_data();
  for (int i = 0; i < 48; ++i) {
    double squares = 0;
    for (int other = 0; other < 48; ++other)
      if (other / 24 == i / 24 && other % 6 == i % 6 && std::abs(other / 6 - i / 6) <= 1)
        squares += x[other] * x[other];
    ASSERT_NEAR(fixture.top().cpu_data()[i], x[i] / std::sqrt(2 + 0.2 * squares), 1e-5);
  }
}

TEST(LRN, WithinAChannelDividesByTheSquareAroundAndIgnoresK) {
  LayerFixture fixture(
      "type: 'LRN' lrn_param { local_size: 3 alpha: 1.8 beta: 0.5 k: 7 "
      "norm_region: WITHIN_CHANNEL }",
      {{1, 2, 3, 4}});
  fixture.forward();
  const float* x = fixture.bottom().cpu_data();
  for (int i = 0; i < 24; ++i) {
    double squares = 0;
    for (int other = i / 12 * 12; other < i / 12 * 12 + 12; ++other)
      if (std::abs(other / 4 - i / 4) <= 1 && std::abs(other % 4 - i % 4) <= 1)
        squares += x[other] * x[other];
    ASSERT_NEAR(fixture.top().cpu_data()[i], x[i] / std::sqrt(1 + 0.2 * squares), 1e-5);
  }
}

/// MVN of 2 x 2 x 1 x 3, whose first channel is 1 2 6 and whose second is 0 0 3.
std::vector<float> normalized(const std::string& parameter) {
  LayerFixture fixture("type: 'MVN' mvn_param { " + parameter + " }", {{1, 2, 1, 3}});
  std::copy_n(std::vector<float>{1, 2, 6, 0, 0, 3}.data(), 6, fixture.bottom().mutable_cpu_data());
  fixture.forward();
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + 6};
}

TEST(MVN, NormalizesChannelsOrSamples) {
  const float deviation = std::sqrt(14.0f / 3);
  const std::vector<float> channels = normalized("eps: 0.5");
  EXPECT_NEAR(channels[0], -2 / (deviation + 0.5f), 1e-5) << "eps is added to the deviation";
  EXPECT_NEAR(channels[2], 3 / (deviation + 0.5f), 1e-5);
  EXPECT_NEAR(channels[5], 2 / (std::sqrt(2.0f) + 0.5f), 1e-5);
  const std::vector<float> means = normalized("normalize_variance: false");
  EXPECT_EQ(means, (std::vector<float>{-2, -1, 3, -1, -1, 2}));
  const std::vector<float> samples = normalized("across_channels: true");
  EXPECT_NEAR(samples[2], 4 / std::sqrt((1 + 0 + 16 + 4 + 4 + 1) / 6.0f), 1e-5);
}

TEST(MVN, WorksInPlace) {
  const auto run = [](const std::string& top) {
    NetParameter net;
    parse_prototxt(
        "force_backward: true layer { name: 'in' type: 'Input' top: 'x' input_param { "
        "shape { dim: 2 dim: 2 dim: 1 dim: 3 } } } layer { name: 'm' type: 'MVN' "
        "bottom: 'x' top: '" +
            top + "' }",
        "test", &net);
    Net made(net, NetOptions());
    fill_gaussian(3, made.blob("x"));
    made.forward();
    Blob& y = *made.blob(top);
    std::vector<float> numbers(y.cpu_data(), y.cpu_data() + 12);
    fill_gaussian(4, &y);  // as a ReLU in place would
    std::copy(y.cpu_data(), y.cpu_data() + 12, y.mutable_cpu_diff());
    made.backward();
    numbers.insert(numbers.end(), made.blob("x")->cpu_diff(), made.blob("x")->cpu_diff() + 12);
    return numbers;
  };
  EXPECT_EQ(run("x"), run("y"));
}

TEST(MVN, MissingAxesAreOne) {
  LayerFixture fixture("type: 'MVN' mvn_param { across_channels: true }", {{2, 5}});
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), (Shape{2, 5, 1, 1}));
  EXPECT_NE(fixture.top().cpu_data()[0], 0);
}

}  // namespace
}  // namespace vibnet
