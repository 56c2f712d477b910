#include "vibnet/filler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "support/error_of.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

std::vector<float> filled(const std::string& filler, const Shape& shape, std::uint64_t seed = 1) {
  FillerParameter parameter;
  parse_prototxt(filler, "filler", &parameter);
  Blob blob(shape);
  fill(parameter, random_key(seed, "weights"), &blob);
  return {blob.cpu_data(), blob.cpu_data() + blob.count()};
}

double mean_of(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation_of(const std::vector<float>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

TEST(Filler, ConstantIsZeroUnlessToldElse) {
  EXPECT_THAT(filled("", {2}), testing::ElementsAre(0, 0));
  EXPECT_THAT(filled("type: 'constant' value: 3", {2}), testing::ElementsAre(3, 3));
}

TEST(Filler, UniformAndGaussianHaveTheirMoments) {
  const std::vector<float> uniform = filled("type: 'uniform' min: -1 max: 3", {20000});
  EXPECT_GE(*std::min_element(uniform.begin(), uniform.end()), -1);
  EXPECT_LT(*std::max_element(uniform.begin(), uniform.end()), 3);
  EXPECT_NEAR(mean_of(uniform), 1, 0.04);
  EXPECT_NEAR(deviation_of(uniform), 4 / std::sqrt(12.0), 0.03);
  const std::vector<float> gaussian = filled("type: 'gaussian' mean: 2 std: 0.5", {20000});
  EXPECT_NEAR(mean_of(gaussian), 2, 0.02);
  EXPECT_NEAR(deviation_of(gaussian), 0.5, 0.02);
}

TEST(Filler, SparseGaussianKeepsThatManyInputsAnOutput) {
  const std::vector<float> values = filled("type: 'gaussian' sparse: 10", {100, 200});
  const auto zeros = std::count(values.begin(), values.end(), 0.0f);
  EXPECT_NEAR(static_cast<double>(zeros) / 20000, 0.9, 0.01);
}

TEST(Filler, PositiveUnitballRowsSumToOne) {
  const std::vector<float> values = filled("type: 'positive_unitball'", {3, 2, 5});
  for (int row = 0; row < 3; ++row) {
    EXPECT_NEAR(std::accumulate(values.begin() + row * 10, values.begin() + (row + 1) * 10, 0.0f),
                1, 1e-6);
    EXPECT_GE(*std::min_element(values.begin(), values.end()), 0);
  }
}

TEST(Filler, XavierAndMsraDivideByTheFanAskedFor) {
  // 100 x 50 x 2: fan in 100, fan out 200.
  const Shape shape = {100, 50, 2};
  EXPECT_NEAR(deviation_of(filled("type: 'xavier'", shape)), std::sqrt(1 / 100.0), 2e-3);
  EXPECT_NEAR(deviation_of(filled("type: 'xavier' variance_norm: FAN_OUT", shape)),
              std::sqrt(1 / 200.0), 2e-3);
  EXPECT_NEAR(deviation_of(filled("type: 'msra' variance_norm: AVERAGE", shape)),
              std::sqrt(2 / 150.0), 3e-3);
}

TEST(Filler, BilinearInterpolates) {
  // The 4 x 4 kernel that doubles a picture: the outer product of 0.25 0.75 0.75 0.25.
  const std::vector<float> values = filled("type: 'bilinear'", {1, 1, 4, 4});
  EXPECT_FLOAT_EQ(values[0], 0.0625f);
  EXPECT_FLOAT_EQ(values[1], 0.1875f);
  EXPECT_FLOAT_EQ(values[5], 0.5625f);
  EXPECT_FLOAT_EQ(values[15], 0.0625f);
  EXPECT_THAT(filled("type: 'bilinear'", {1, 1, 3, 3}),
              testing::ElementsAre(0.25f, 0.5f, 0.25f, 0.5f, 1, 0.5f, 0.25f, 0.5f, 0.25f));
}

TEST(Filler, DrawsByKey) {
  EXPECT_EQ(filled("type: 'gaussian'", {9}), filled("type: 'gaussian'", {9}));
  EXPECT_NE(filled("type: 'gaussian'", {9}), filled("type: 'gaussian'", {9}, 2));
}

TEST(Filler, NamesWhatItCannotDo) {
  const auto error = [](const std::string& filler, const Shape& shape) {
    return error_of([&] { filled(filler, shape); });
  };
  EXPECT_THAT(error("type: 'gausian'", {2}),
              testing::StartsWith("filler 'gausian' is not known: constant, uniform, gaussian"));
  EXPECT_THAT(error("type: 'bilinear'", {2, 3}), testing::StartsWith("filler bilinear needs"));
  EXPECT_THAT(error("type: 'uniform' sparse: 1", {2}), "filler uniform cannot be sparse");
}

}  // namespace
}  // namespace vibnet
