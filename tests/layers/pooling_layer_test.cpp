#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using testing::ElementsAre;

/// The top for one 4 x 4 plane of 0, 1, 2, ...
std::vector<float> pool(const std::string& parameter) {
  LayerFixture fixture("type: 'Pooling' pooling_param { " + parameter + " }", {{1, 1, 4, 4}});
  std::iota(fixture.bottom().mutable_cpu_data(), fixture.bottom().mutable_cpu_data() + 16, 0.0f);
  fixture.forward();
  const Blob& top = fixture.top();
  return {top.cpu_data(), top.cpu_data() + top.count()};
}

TEST(Pooling, NoWindowStartsBehindThePlane) {
  for (const std::string method : {"pool: MAX ", "pool: AVE "}) {
    EXPECT_THAT(pool(method + "kernel_size: 1 stride: 2"), ElementsAre(0, 2, 8, 10));
    EXPECT_THAT(pool(method + "kernel_size: 1 stride: 3"), ElementsAre(0, 3, 12, 15));
    EXPECT_THAT(pool(method + "kernel_size: 1 stride: 1000"), ElementsAre(0));
  }
}

TEST(Pooling, TheKernelMayReachBeyondThePlaneByLessThanAStride) {
  EXPECT_THAT(pool("kernel_size: 5 stride: 2"), ElementsAre(15));
  EXPECT_THAT(pool("pool: AVE kernel_size: 5 stride: 2"), ElementsAre(7.5f));
}

TEST(Pooling, SizesRoundUpOrDown) {
  EXPECT_THAT(pool("kernel_size: 3 stride: 2"), ElementsAre(10, 11, 14, 15));
  EXPECT_THAT(pool("kernel_size: 3 stride: 2 round_mode: FLOOR"), ElementsAre(10));
}

Context testing_context() {
  Context context = training_context();
  context.phase = TEST;
  return context;
}

TEST(Pooling, TheSecondTopNamesTheLargestPixels) {
  LayerFixture fixture("type: 'Pooling' pooling_param { kernel_size: 2 stride: 2 pad: 1 }",
                       {{1, 2, 2, 2}}, 2);
  fixture.forward();
  const float* mask = fixture.top(1).cpu_data();
  EXPECT_THAT(std::vector<float>(mask, mask + 8), ElementsAre(0, 1, 2, 3, 0, 1, 2, 3));
}

/// Of planes that the windows halve, those that leave a row or a column, and windows that overlap.
TEST(Pooling, GivesGradientsBackToTheLargestPixels) {
  for (const std::string windows : {"kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2"})
    for (int height = 2; height <= 5; ++height)
      for (int width = 2; width <= 75; ++width) {
        SCOPED_TRACE(windows + ", " + std::to_string(height) + " x " + std::to_string(width));
        LayerFixture fixture("type: 'Pooling' pooling_param { " + windows + " }",
                             {{2, 2, height, width}}, 2);
        fixture.forward();
        fixture.bottom().set_diff(7);
        fixture.backward();
        std::vector<float> expected(fixture.bottom().count());
        const int outputs = fixture.top().count(2);
        for (int i = 0; i < fixture.top().count(); ++i)
          expected[i / outputs * height * width + static_cast<int>(fixture.top(1).cpu_data()[i])] +=
              fixture.top().cpu_diff()[i];
        const float* found = fixture.bottom().cpu_diff();
        ASSERT_EQ(std::vector<float>(found, found + expected.size()), expected);
      }
}

TEST(Pooling, StochasticInTestIsTheWeightedMean) {
  LayerFixture fixture(
      "type: 'Pooling' pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }", {{1, 1, 2, 4}},
      1, testing_context());
  const std::vector<float> x{1, 2, 0, 0, 3, 0, 0, 0};
  std::copy(x.begin(), x.end(), fixture.bottom().mutable_cpu_data());
  fixture.forward();
  EXPECT_FLOAT_EQ(fixture.top().cpu_data()[0], (1 + 4 + 9) / 6.0f);
  EXPECT_EQ(fixture.top().cpu_data()[1], 0) << "no division by zero";
  for (int i = 0; i < 8; ++i) fixture.bottom().mutable_cpu_data()[i] = 1 + x[i];
  check_gradients(&fixture);
}

TEST(Pooling, StochasticInTrainDrawsPixelsAsOftenAsTheyAreLarge) {
  const int kSamples = 4000;
  LayerFixture fixture("type: 'Pooling' pooling_param { pool: STOCHASTIC kernel_size: 2 }",
                       {{kSamples, 2, 2, 2}});
  for (int i = 0; i < fixture.bottom().count(); ++i)
    fixture.bottom().mutable_cpu_data()[i] = static_cast<float>(i % 4);
  fixture.forward();
  fixture.backward();
  std::vector<int> drawn(4);
  int different = 0;
  for (int i = 0; i < 2 * kSamples; ++i) {
    const int pixel = static_cast<int>(fixture.top().cpu_data()[i]);
    ++drawn[pixel];
    different += fixture.top().cpu_data()[i] != fixture.top().cpu_data()[i ^ 1];
    for (int p = 0; p < 4; ++p)
      ASSERT_EQ(fixture.bottom().cpu_diff()[4 * i + p],
                p == pixel ? fixture.top().cpu_diff()[i] : 0);
  }
  EXPECT_EQ(drawn[0], 0);
  EXPECT_NEAR(drawn[1] / (2.0 * kSamples), 1 / 6.0, 0.02);
  EXPECT_NEAR(drawn[2] / (2.0 * kSamples), 2 / 6.0, 0.02);
  EXPECT_GT(different, kSamples / 2) << "channels draw apart";

  const std::vector<float> first(fixture.top().cpu_data(), fixture.top().cpu_data() + 2 * kSamples);
  fixture.forward();
  EXPECT_TRUE(std::equal(first.begin(), first.end(), fixture.top().cpu_data()));
  ++fixture.context().iteration;
  fixture.forward();
  EXPECT_FALSE(std::equal(first.begin(), first.end(), fixture.top().cpu_data()));
}

TEST(Pooling, NamesWhatItCannotDo) {
  const auto error = [](const std::string& parameter) {
    return error_of([&] { pool(parameter); });
  };
  EXPECT_EQ(error("stride: 2"), "layer 'layer' (Pooling): kernel_size is missing or 0");
  EXPECT_EQ(error("kernel_size: 2 pad: 2"),
            "layer 'layer' (Pooling): pad must be smaller than the kernel");
  EXPECT_EQ(error("kernel_size: 2 pad: 4000000000"),
            "layer 'layer' (Pooling): pad: 4000000000 is too large");
  EXPECT_EQ(error("kernel_size: 5"),
            "layer 'layer' (Pooling): the kernel, 5x5, is larger than the padded bottom, "
            "1x1x4x4 (16)");
  EXPECT_EQ(error("kernel_size: 2 stride: 0"), "layer 'layer' (Pooling): stride cannot be 0");
  EXPECT_EQ(error("kernel_size: 2 kernel_h: 2 kernel_w: 2"),
            "layer 'layer' (Pooling): give kernel_size, or both its _h and its _w");
  EXPECT_EQ(error("kernel_size: 2 pad_h: 1"),
            "layer 'layer' (Pooling): give pad, or both its _h and its _w");
  EXPECT_EQ(error("kernel_size: 2 stride_w: 1"),
            "layer 'layer' (Pooling): give stride, or both its _h and its _w");
  EXPECT_EQ(error("pool: STOCHASTIC kernel_size: 2 pad: 1"),
            "layer 'layer' (Pooling): pool: STOCHASTIC takes no pad");
  EXPECT_EQ(error("global_pooling: true kernel_size: 2"),
            "layer 'layer' (Pooling): global_pooling takes no kernel_size");
}

}  // namespace
}  // namespace vibnet
