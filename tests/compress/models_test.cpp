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

  NetParameter weights() const {
    Masks masks;
    masks.dropped = std::get<1>(GetParam()) / 100.0;
    masks.prefers_living = 1;
    return random_weights_with_masks(model_, 1, masks);
  }
};

int count_bottlenecks(const NetParameter& net) {
  return static_cast<int>(std::count_if(
      net.layer().begin(), net.layer().end(),
      [](const LayerParameter& layer) { return layer.type() == "InformationBottleneck"; }));
}

/// Otherwise a comparison would show little.
TEST_P(MaskedModels, DependOnTheirInput) {
  EXPECT_GT(2 * count_bottlenecks(model_), model_.layer_size() - 4);
  const NetParameter weights = this->weights();
  NamedValues inputs = noise_for(model_, 1);
  const NamedValues outputs = outputs_of(model_, weights, inputs);
  for (auto& [name, input] : inputs)
    for (float& value : input.values) value *= -3;
  EXPECT_GT(difference(outputs, outputs_of(model_, weights, inputs)), 30 * kTolerance);
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
