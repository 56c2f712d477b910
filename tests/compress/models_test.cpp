#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "support/outputs.h"
#include "support/random_weights.h"
#include "support/small_models.h"
#include "support/with_bottlenecks.h"
#include "vibnet/compress.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;

/// A model, with bottlenecks on every edge that allows one, and the percentage of units they drop.
class MaskedModels : public testing::TestWithParam<std::tuple<SmallModel, int>> {
 protected:
  NetParameter model_ = with_bottlenecks_on_edges(deploy_of(std::get<0>(GetParam())));

  static double share_dropped() { return std::get<1>(GetParam()) / 100.0; }

  NetParameter weights() const {
    Masks masks;
    masks.dropped = share_dropped();
    masks.prefers_living = 1;
    return random_weights_with_masks(model_, 1, masks);
  }
};

int count_bottlenecks(const NetParameter& net) {
  return static_cast<int>(std::count_if(
      net.layer().begin(), net.layer().end(),
      [](const LayerParameter& layer) { return layer.type() == "InformationBottleneck"; }));
}

double count_values(const NetParameter& weights) {
  double values = 0;
  for (const LayerParameter& layer : weights.layer())
    for (const BlobProto& blob : layer.blobs()) values += blob.data_size();
  return values;
}

/// Otherwise a comparison would show little.
bool depends_on_input(const NetParameter& model, const NetParameter& weights) {
  NamedValues inputs = noise_for(model, 1);
  const NamedValues outputs = outputs_of(model, weights, inputs);
  for (auto& [name, input] : inputs)
    for (float& value : input.values) value *= -3;
  return difference(outputs, outputs_of(model, weights, inputs)) > 30 * kTolerance;
}

TEST_P(MaskedModels, ComputeTheSameAfterCompression) {
  EXPECT_GT(2 * count_bottlenecks(model_), model_.layer_size() - 4);
  const NetParameter weights = this->weights();
  EXPECT_TRUE(depends_on_input(model_, weights));
  for (const bool folds : {false, true}) {
    CompressOptions options;
    options.fold_batchnorm = folds;
    const CompressedNet compressed = compress(model_, weights, options);
    EXPECT_EQ(count_bottlenecks(compressed.model), 0);
    EXPECT_LE(difference_of_outputs(model_, weights, compressed), kTolerance);
    EXPECT_LT(count_values(compressed.weights), (1 - share_dropped() / 2) * count_values(weights));
  }
}

std::string name_of(const testing::TestParamInfo<std::tuple<SmallModel, int>>& info) {
  return test_name(std::get<0>(info.param)) + "_" + std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(All, MaskedModels,
                         testing::Combine(testing::ValuesIn(small_models()),
                                          testing::Values(30, 60, 90)),
                         name_of);

}  // namespace
}  // namespace vibnet
