#include "math/convolution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "math/depthwise_convolution.h"
#include "math/direct_convolution.h"
#include "math/unfolded_convolution.h"
#include "math/winograd.h"
#include "simd/kernels.h"
#include "support/drawn.h"
#include "support/error_of.h"
#include "support/print_convolution.h"

namespace vibnet {
namespace {

/// A convolution over maps of two axes.
Convolution convolution_of(int samples, int groups, int channels, int filters, WindowAxis rows,
                           WindowAxis columns) {
  return {samples, groups, filters, {channels, {rows, columns}}};
}

/// The ways that can compute it.
std::vector<std::unique_ptr<ConvolutionKernel>> ways(const Convolution& c) {
  std::vector<std::unique_ptr<ConvolutionKernel>> all;
  all.push_back(std::make_unique<UnfoldedConvolution>(c));
  if (DepthwiseConvolution::takes(c)) all.push_back(std::make_unique<DepthwiseConvolution>(c));
  if (DirectConvolution::takes(c)) all.push_back(std::make_unique<DirectConvolution>(c));
  for (const int m : {2, 4})
    if (Winograd::takes(c, m)) all.push_back(std::make_unique<Winograd>(c, m));
  return all;
}

/// Calls visit(map index, weight index, result index) for each product of the convolution.
template <typename Visit>
void for_each_product(const Convolution& c, const Visit& visit) {
  const WindowAxis& rows = c.window.axes[0];
  const WindowAxis& columns = c.window.axes[1];
  const int channels = c.window.channels;
  for (int n = 0; n < c.samples; ++n)
    for (int k = 0; k < c.groups * c.filters; ++k)
      for (int i = 0; i < channels; ++i)
        for (int place = 0; place < c.places(); ++place)
          for (int tap = 0; tap < rows.kernel * columns.kernel; ++tap) {
            const int y = place / columns.outputs() * rows.stride +
                          tap / columns.kernel * rows.dilation - rows.pad;
            const int x = place % columns.outputs() * columns.stride +
                          tap % columns.kernel * columns.dilation - columns.pad;
            if (y < 0 || y >= rows.size || x < 0 || x >= columns.size) continue;
            const int plane = (n * c.groups + k / c.filters) * channels + i;
            visit((plane * rows.size + y) * columns.size + x,
                  (k * channels + i) * rows.kernel * columns.kernel + tap,
                  (n * c.groups * c.filters + k) * c.places() + place);
          }
}

/// Within 3e-5 of the largest value: what Winograd's larger tiles cost in float.
void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::fabs(value));
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], 3e-5 * largest) << "at " << i;
}

class ConvolutionTest : public testing::TestWithParam<Convolution> {
 protected:
  const Convolution c_ = GetParam();
  const std::vector<float> maps_ = with_room(drawn(c_.samples * c_.map_size(), "maps"));
  const std::vector<float> weights_ = drawn(c_.groups * c_.filters * c_.window.taps(), "weights");
  const std::vector<float> results_ = with_room(drawn(c_.samples * c_.result_size(), "results"));
  const std::vector<float> bias_ = drawn(c_.groups * c_.filters, "bias");
};

TEST_P(ConvolutionTest, EachWayGivesTheSumOfProducts) {
  std::vector<double> expected(results_.size());
  for_each_product(c_, [&](int map, int weight, int result) {
    expected[result] += double{maps_[map]} * weights_[weight];
  });
  std::vector<double> biased = expected;
  for (std::size_t i = 0; i < biased.size(); ++i)
    biased[i] += bias_[i / c_.places() % bias_.size()];
  const std::vector<float> behind(2 * kLanes, 7.0f);
  for (const auto& way : ways(c_)) {
    std::vector<float> results(results_.size() + behind.size(), 7.0f);
    way->forward(maps_.data(), weights_.data(), {}, results.data());
    expect_near(results, expected);
    way->forward(maps_.data(), weights_.data(), {bias_.data()}, results.data());
    expect_near(results, biased);
    EXPECT_TRUE(std::equal(behind.begin(), behind.end(), results.end() - behind.size()));
  }
}

TEST_P(ConvolutionTest, EachWayTakesPreparedWeightsAndRectifies) {
  for (const auto& way : ways(c_)) {
    std::vector<float> expected(results_.size(), 7.0f);
    way->forward(maps_.data(), weights_.data(), {bias_.data()}, expected.data());
    std::vector<double> rectified;
    for (const float value : expected) rectified.push_back(std::max(value, 0.0f));
    std::vector<float> results(results_.size(), 7.0f);
    way->forward(maps_.data(), weights_.data(), {bias_.data(), nullptr, true}, results.data());
    EXPECT_TRUE(std::equal(results.begin(), results.end(), rectified.begin()));
    std::vector<float> prepared = weights_;
    if (way->prepared_size() > 0) {
      prepared.assign(way->prepared_size(), 7.0f);
      way->prepare(weights_.data(), prepared.data());
    }
    way->forward_prepared(maps_.data(), with_room(prepared).data(), {bias_.data(), nullptr, true},
                          results.data());
    expect_near(results, rectified);
  }
}

TEST_P(ConvolutionTest, EachWayAddsBeforeItRectifies) {
  const std::vector<float> residual = with_room(drawn(results_.size(), "residual"));
  for (const auto& way : ways(c_)) {
    std::vector<float> results(results_.size(), 7.0f);
    way->forward(maps_.data(), weights_.data(), {bias_.data()}, results.data());
    std::vector<double> expected;
    for (std::size_t i = 0; i < results.size(); ++i) expected.push_back(results[i] + residual[i]);
    way->forward(maps_.data(), weights_.data(), {bias_.data(), residual.data()}, results.data());
    expect_near(results, expected);
    for (double& value : expected) value = std::max(value, 0.0);
    std::vector<float> prepared = weights_;
    if (way->prepared_size() > 0) {
      prepared.assign(way->prepared_size(), 7.0f);
      way->prepare(weights_.data(), prepared.data());
    }
    way->forward_prepared(maps_.data(), with_room(prepared).data(),
                          {bias_.data(), residual.data(), true}, results.data());
    expect_near(results, expected);
  }
}

TEST_P(ConvolutionTest, WhatIsNotANumberIsNotRectified) {
  const std::vector<float> bias(bias_.size(), std::nanf(""));
  for (const auto& way : ways(c_)) {
    std::vector<float> results(results_.size());
    way->forward(maps_.data(), weights_.data(), {bias.data(), nullptr, true}, results.data());
    EXPECT_TRUE(
        std::all_of(results.begin(), results.end(), [](float value) { return std::isnan(value); }));
  }
}

TEST_P(ConvolutionTest, EachWayGivesTheGradients) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  std::vector<double> by_maps(maps_.size());
  std::vector<double> by_weights(weights_.size());
  for_each_product(c_, [&](int map, int weight, int result) {
    by_maps[map] += double{results_[result]} * weights_[weight];
    by_weights[weight] += double{results_[result]} * maps_[map];
  });
  for (const auto& way : ways(c_)) {
    std::vector<float> maps(maps_.size(), 7.0f);
    way->backward_data(results_.data(), weights_.data(), maps.data());
    expect_near(maps, by_maps);
    std::vector<float> weights(weights_.size(), kNaN);
    way->backward_weights(maps_.data(), results_.data(), false, weights.data());
    expect_near(weights, by_weights);
    way->backward_weights(maps_.data(), results_.data(), true, weights.data());
    for (float& weight : weights) weight /= 2;
    expect_near(weights, by_weights);
  }
}

TEST_P(ConvolutionTest, GivesTheSameBytesWithAnyNumberOfThreads) {
  const int threads = omp_get_max_threads();
  for (std::size_t way = 0; way < ways(c_).size(); ++way) {
    std::vector<std::vector<float>> runs;
    for (int t = 1; t <= 3; ++t) {
      omp_set_num_threads(t);
      const auto kernel = std::move(ways(c_)[way]);
      std::vector<float> results(results_.size());
      kernel->forward(maps_.data(), weights_.data(), {bias_.data()}, results.data());
      std::vector<float> maps(maps_.size());
      kernel->backward_data(results_.data(), weights_.data(), maps.data());
      std::vector<float> weights(weights_.size());
      kernel->backward_weights(maps_.data(), results_.data(), false, weights.data());
      results.insert(results.end(), maps.begin(), maps.end());
      results.insert(results.end(), weights.begin(), weights.end());
      runs.push_back(results);
    }
    omp_set_num_threads(threads);
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_EQ(runs[0], runs[2]);
  }
}

TEST(WinogradTest, TakesWeightsThatAreTransformedAlready) {
  const Convolution c = convolution_of(2, 1, 17, 33, {9, 3, 1, 1, 1}, {6, 3, 0, 1, 1});
  const std::vector<float> maps = drawn(c.samples * c.map_size(), "maps");
  const std::vector<float> weights = drawn(c.filters * c.window.taps(), "weights");
  for (const int m : {2, 4}) {
    const Winograd winograd(c, m);
    std::vector<float> transformed(winograd.prepared_size());
    winograd.prepare(weights.data(), transformed.data());
    std::vector<float> expected(c.samples * c.result_size());
    winograd.forward(maps.data(), weights.data(), {}, expected.data());
    std::vector<float> results(expected.size());
    winograd.forward_prepared(maps.data(), transformed.data(), {}, results.data());
    EXPECT_EQ(results, expected);
  }
}

TEST(WinogradTest, TransformsWeightsInPartsWhereTheyAreMany) {
  const Convolution c = convolution_of(1, 1, 300, 70, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1});
  const std::vector<float> maps = with_room(drawn(c.samples * c.map_size(), "maps"));
  const std::vector<float> weights = drawn(c.filters * c.window.taps(), "weights");
  for (const int m : {2, 4}) {
    const Winograd winograd(c, m);
    std::vector<float> transformed(winograd.prepared_size());
    winograd.prepare(weights.data(), transformed.data());
    std::vector<float> in_parts(c.samples * c.result_size());
    winograd.forward(maps.data(), weights.data(), {}, in_parts.data());
    std::vector<float> results(in_parts.size());
    winograd.forward_prepared(maps.data(), transformed.data(), {}, results.data());
    expect_near(results, std::vector<double>(in_parts.begin(), in_parts.end()));
  }
}

TEST(KernelsTest, AreThoseOfTheInstructionSet) {
  EXPECT_STREQ(kernels_for("baseline").name, "baseline");
  EXPECT_THAT(error_of([] { kernels_for("avx3"); }),
              testing::HasSubstr("VIBNET_SIMD: this processor runs baseline"));
}

TEST(MakeConvolution, PlanesAreSummedWhereStridesAreShort) {
  const auto is_depthwise = [](const WindowAxis& axis) {
    const auto way = make_convolution(convolution_of(1, 8, 1, 1, axis, axis), true);
    return dynamic_cast<const DepthwiseConvolution*>(way.get()) != nullptr;
  };
  if (std::getenv("VIBNET_CONVOLUTION") != nullptr) GTEST_SKIP() << "a way is asked for";
  EXPECT_TRUE(is_depthwise({14, 3, 1, 1, 1}));
  EXPECT_TRUE(is_depthwise({14, 3, 1, 2, 1}));
  EXPECT_FALSE(is_depthwise({128, 16, 4, 8, 1}));
}

template <typename Kernel>
bool is_made(const Convolution& c) {
  const auto made = make_convolution(c, true);
  return dynamic_cast<const Kernel*>(made.get()) != nullptr;
}

TEST(MakeConvolution, TakesTheWaysThatThePapersNetsAreFastBy) {
  if (std::getenv("VIBNET_CONVOLUTION") != nullptr) GTEST_SKIP() << "a way is asked for";
  const auto axis = [](int size, int kernel, int pad) {
    return WindowAxis{size, kernel, pad, 1, 1};
  };
  const auto square = [&](int samples, int channels, int filters, int size, int kernel, int pad) {
    return convolution_of(samples, 1, channels, filters, axis(size, kernel, pad),
                          axis(size, kernel, pad));
  };
  EXPECT_TRUE(is_made<DirectConvolution>(square(64, 1, 20, 28, 5, 0)));  // LeNet-5's
  EXPECT_TRUE(is_made<Winograd>(square(64, 20, 50, 12, 5, 0)));
  EXPECT_TRUE(is_made<DirectConvolution>(square(32, 3, 64, 32, 3, 1)));  // VGG-16's
  EXPECT_TRUE(is_made<Winograd>(square(32, 256, 256, 8, 3, 1)));
  EXPECT_TRUE(is_made<UnfoldedConvolution>(square(8, 512, 512, 14, 1, 0)));  // MobileNet's
}

TEST(MakeConvolution, AnUnknownWayIsNamed) {
  const Convolution c = convolution_of(1, 1, 1, 1, {3, 3, 0, 1, 1}, {3, 3, 0, 1, 1});
  const char* before = std::getenv("VIBNET_CONVOLUTION");
  const std::string kept = before == nullptr ? "" : before;
  setenv("VIBNET_CONVOLUTION", "fastest", 1);
  EXPECT_THAT(error_of([&] { make_convolution(c, true); }),
              testing::HasSubstr("VIBNET_CONVOLUTION: 'fastest' is not unfolded"));
  setenv("VIBNET_CONVOLUTION", kept.c_str(), 1);
}

WindowAxis axis(int size, int kernel, int pad = 0, int stride = 1, int dilation = 1) {
  return {size, kernel, pad, stride, dilation};
}

INSTANTIATE_TEST_SUITE_P(
    Kernels3x3, ConvolutionTest,
    testing::Values(convolution_of(1, 1, 1, 1, axis(1, 3, 1), axis(1, 3, 1)),
                    convolution_of(1, 1, 1, 1, axis(3, 3), axis(3, 3)),
                    convolution_of(2, 1, 3, 5, axis(4, 3, 1), axis(7, 3, 1)),
                    convolution_of(3, 1, 16, 32, axis(2, 3, 1), axis(2, 3, 1)),
                    convolution_of(2, 1, 17, 33, axis(9, 3, 2), axis(6, 3)),
                    convolution_of(1, 1, 40, 65, axis(8, 3, 1), axis(8, 3, 1)),
                    convolution_of(1, 1, 5, 4, axis(21, 3, 1), axis(35, 3, 2)),
                    // Several blocks of tiles, and several panels of filters.
                    convolution_of(3, 1, 8, 70, axis(40, 3, 1), axis(44, 3, 1)),
                    convolution_of(2, 1, 160, 200, axis(4, 3, 1), axis(4, 3, 1))));

INSTANTIATE_TEST_SUITE_P(
    Kernels5x5, ConvolutionTest,
    testing::Values(convolution_of(1, 1, 1, 1, axis(5, 5), axis(5, 5)),
                    convolution_of(1, 1, 1, 1, axis(1, 5, 2), axis(1, 5, 2)),
                    convolution_of(3, 1, 20, 50, axis(12, 5), axis(12, 5)),
                    convolution_of(2, 1, 17, 33, axis(9, 5, 4), axis(6, 5, 1)),
                    convolution_of(1, 1, 5, 4, axis(21, 5, 3), axis(35, 5, 2)),
                    convolution_of(3, 1, 8, 70, axis(40, 5, 2), axis(44, 5, 2)),
                    convolution_of(2, 1, 160, 200, axis(6, 5, 2), axis(6, 5, 2))));

INSTANTIATE_TEST_SUITE_P(
    OtherKernels, ConvolutionTest,
    testing::Values(convolution_of(1, 1, 1, 1, axis(1, 1), axis(1, 1)),
                    convolution_of(5, 1, 7, 19, axis(5, 1), axis(3, 1)),
                    convolution_of(2, 1, 6, 25, axis(56, 1), axis(57, 1)),
                    convolution_of(2, 3, 4, 6, axis(9, 3, 1, 2), axis(10, 3, 1, 2)),
                    convolution_of(2, 5, 1, 2, axis(8, 3, 1), axis(11, 5, 2)),
                    convolution_of(1, 1, 3, 13, axis(70, 7, 3, 2), axis(66, 7, 3, 2)),
                    convolution_of(9, 1, 2, 3, axis(3, 2), axis(3, 2)),
                    convolution_of(2, 1, 4, 3, axis(13, 3, 2, 1, 2), axis(12, 2, 0, 3, 3)),
                    convolution_of(1, 1, 300, 40, axis(7, 3, 1), axis(7, 5, 2)),
                    // Several panels of columns, and terms, that are copied for many filters.
                    convolution_of(1, 1, 300, 100, axis(20, 1), axis(20, 1)),
                    // One piece, whose filters the threads share out.
                    convolution_of(1, 2, 20, 90, axis(17, 3, 1, 2), axis(15, 3, 1, 2)),
                    // Parts of channels of one size, and few of them.
                    convolution_of(3, 1, 385, 20, axis(5, 1), axis(4, 1)),
                    convolution_of(17, 1, 385, 20, axis(5, 1), axis(4, 1)),
                    convolution_of(9, 2, 45, 30, axis(9, 3, 1, 2), axis(20, 3, 1, 2)),
                    // So few places that prepared filters are columns.
                    convolution_of(1, 1, 70, 45, axis(2, 3, 1), axis(2, 3, 1)),
                    convolution_of(2, 2, 30, 40, axis(3, 3, 1), axis(4, 3, 1))));

INSTANTIATE_TEST_SUITE_P(
    FewChannels, ConvolutionTest,
    testing::Values(convolution_of(5, 1, 1, 20, axis(28, 5), axis(28, 5)),
                    convolution_of(9, 1, 3, 16, axis(32, 3, 1), axis(32, 3, 1)),
                    convolution_of(1, 1, 3, 13, axis(9, 3, 1), axis(17, 3, 1)),
                    convolution_of(17, 1, 2, 7, axis(4, 2), axis(34, 4, 1)),
                    convolution_of(2, 1, 4, 37, axis(11, 3, 2, 1, 2), axis(20, 5, 4, 1, 2)),
                    convolution_of(3, 1, 1, 1, axis(1, 1), axis(16, 1)),
                    convolution_of(2, 1, 1, 3, axis(1, 1, 3), axis(15, 2, 5)),
                    convolution_of(1, 1, 2, 11, axis(3, 7, 6), axis(77, 7, 3)),
                    // So wide that the results are taken in parts.
                    convolution_of(1, 1, 1, 6, axis(7, 3), axis(1100, 3, 1)),
                    convolution_of(0, 1, 3, 4, axis(9, 3), axis(20, 3)),
                    convolution_of(2, 1, 3, 6, axis(8, 3, 0, 2), axis(34, 3)),
                    convolution_of(2, 1, 3, 13, axis(33, 3, 1, 2), axis(35, 3, 1, 2)),
                    convolution_of(1, 1, 3, 50, axis(40, 7, 3, 2), axis(66, 7, 3, 2)),
                    convolution_of(9, 1, 1, 5, axis(9, 2, 0, 3), axis(60, 5, 2, 3)),
                    convolution_of(2, 1, 4, 7, axis(11, 3, 2, 1, 2), axis(70, 3, 4, 4, 3)),
                    convolution_of(1, 1, 3, 16, axis(20, 11, 0, 4), axis(83, 11, 2, 4)),
                    convolution_of(2, 1, 2, 3, axis(9, 3, 1, 2), axis(40, 1, 0, 2)),
                    convolution_of(3, 1, 3, 6, axis(8, 3), axis(34, 3, 1, 2))));

INSTANTIATE_TEST_SUITE_P(
    Depthwise, ConvolutionTest,
    testing::Values(convolution_of(3, 5, 1, 1, axis(7, 3, 1), axis(9, 3, 1)),
                    convolution_of(2, 17, 1, 1, axis(14, 3, 1, 2), axis(13, 3, 1, 2)),
                    convolution_of(2, 2, 1, 1, axis(40, 5, 2), axis(70, 3)),
                    convolution_of(1, 3, 1, 1, axis(12, 2, 0, 3, 3), axis(13, 3, 2, 1, 2)),
                    // The last window reaches beyond the plane, and pixels that none sees.
                    convolution_of(2, 3, 1, 1, axis(6, 3, 0, 2), axis(8, 2, 0, 3)),
                    convolution_of(2, 4, 1, 1, axis(5, 1, 0, 3), axis(5, 1, 1, 2)),
                    // The only window stands in the padding.
                    convolution_of(2, 3, 1, 1, axis(4, 1), axis(1, 1, 2, 5)),
                    convolution_of(2, 3, 1, 1, axis(1, 1, 2, 5), axis(99, 3, 1)),
                    convolution_of(2, 3, 1, 1, axis(4, 1), axis(2, 2, 5, 20)),
                    convolution_of(0, 3, 1, 1, axis(4, 3, 1), axis(4, 3, 1)),
                    // Narrower than any vector, and more rows than one thread's.
                    convolution_of(2, 3, 1, 1, axis(51, 3, 1), axis(1, 3, 1)),
                    convolution_of(1, 4, 1, 1, axis(1200, 3, 1), axis(1, 3, 1)),
                    convolution_of(1, 4, 1, 1, axis(1201, 3, 1, 2), axis(2, 3, 1, 2)),
                    convolution_of(1, 3, 1, 1, axis(700, 3, 1), axis(3, 3, 1)),
                    convolution_of(2, 2, 1, 1, axis(40, 3, 1), axis(37, 3, 1)),
                    convolution_of(1, 2, 1, 1, axis(61, 3, 1, 2), axis(70, 3, 1, 2))));

}  // namespace

}  // namespace vibnet
