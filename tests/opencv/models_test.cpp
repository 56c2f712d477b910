#include <gtest/gtest.h>

#include <tuple>

#include "net/filter.h"
#include "opencv/dnn.h"
#include "support/models.h"
#include "support/random_weights.h"
#include "support/small_models.h"
#include "support/trained_net.h"
#include "support/with_bottlenecks.h"
#include "vibnet/compress.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;
constexpr double kShareKept = 0.5;

/// The nets of models/ with random weights, in OpenCV's dnn module and here.
class OpenCvModels : public testing::TestWithParam<PublishedNet> {
 protected:
  NetParameter model() const {
    return read_net_prototxt(model_file(GetParam().folder, "train_val.prototxt"));
  }
  NetParameter deploy_of(const NetParameter& net) const {
    return make_deploy(net, {{"data", GetParam().input}});
  }
};

/// The scores, and what Softmax makes of them.
std::vector<std::string> outputs_of(const NetParameter& deploy) {
  const LayerParameter& last = deploy.layer(deploy.layer_size() - 1);
  EXPECT_EQ(last.type(), "Softmax");
  return {last.bottom(0), last.top(0)};
}

void expect_near(const Values& expected, const Values& found, const std::string& what) {
  ASSERT_EQ(expected.size(), found.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_LE(difference(expected[i], found[i]), kTolerance) << what << ", output " << i;
}

/// Filters and outputs that are gone; a bottleneck's own units do not count.
int units_cut(const CompressReport& report) {
  int cut = 0;
  for (const LayerReport& layer : report.layers)
    if (layer.type != "InformationBottleneck") cut += layer.units_before - layer.units_after;
  return cut;
}

TEST_P(OpenCvModels, ComputeTheSame) {
  const NetParameter deploy = deploy_of(without_bottlenecks(model()));
  const NetParameter weights = lively_weights(deploy, 1);
  const Values inputs = random_inputs(deploy);
  const std::vector<std::string> outputs = outputs_of(deploy);
  expect_near(ours(deploy, weights, inputs, outputs), opencv(deploy, weights, inputs, outputs),
              "plain");
}

TEST_P(OpenCvModels, ComputeTheSameCompressed) {
  // What has weights here: not GoogLeNet's heads for training.
  const NetParameter with = phase_of(with_bottlenecks(model()), TEST);
  const NetParameter masked = deploy_of(with);
  NetParameter weights = lively_weights(masked, 1, kShareKept);
  CompressOptions options;
  options.input_shapes["data"] = GetParam().input;
  const CompressedNet compressed = compress(with, weights, options);

  const Values inputs = random_inputs(masked);
  const Values expected = ours(masked, weights, inputs, outputs_of(masked));
  EXPECT_GT(units_cut(compressed.report), 0);
  weights.Clear();

  const NetParameter& deploy = compressed.deploy;
  const Values smaller_inputs =
      compressed.report.kept_inputs.empty()
          ? inputs
          : Values{selected_values(inputs[0], GetParam().input, input_shapes(deploy).at(0),
                                   compressed.report.kept_inputs)};
  const std::vector<std::string> outputs = outputs_of(deploy);
  const Values found = ours(deploy, compressed.weights, smaller_inputs, outputs);
  expect_near(expected, found, "masked and compressed");
  expect_near(found, opencv(deploy, compressed.weights, smaller_inputs, outputs),
              "compressed, and OpenCV");
}

INSTANTIATE_TEST_SUITE_P(All, OpenCvModels, testing::ValuesIn(published_nets()),
                         [](const auto& info) { return test_name(info.param); });

/// A small model with bottlenecks on every edge that allows one, and the percentage that they drop.
class OpenCvMaskedModels : public testing::TestWithParam<std::tuple<SmallModel, int>> {};

TEST_P(OpenCvMaskedModels, ComputeTheSameCompressed) {
  SmallModel model = std::get<0>(GetParam());
  Masks masks;
  masks.dropped = std::get<1>(GetParam()) / 100.0;
  masks.prefers_living = 1;
  const NetParameter weights =
      random_weights_with_masks(with_bottlenecks_on_edges(deploy_of(model)), 1, masks);
  model.input[0] = 1;
  const NetParameter masked = with_bottlenecks_on_edges(deploy_of(model));
  const Values inputs = random_inputs(masked);
  const std::vector<std::string> scores = {masked.layer(masked.layer_size() - 1).top(0)};
  const Values expected = ours(masked, weights, inputs, scores);
  for (const bool folds : {false, true}) {
    CompressOptions options;
    options.fold_batchnorm = folds;
    const CompressedNet compressed = compress(masked, weights, options);
    EXPECT_GT(units_cut(compressed.report), 0);
    expect_near(expected, opencv(compressed.deploy, compressed.weights, inputs, scores),
                folds ? "folded" : "cut");
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpenCvMaskedModels,
                         testing::Combine(testing::ValuesIn(small_models()),
                                          testing::Values(30, 60, 90)),
                         [](const auto& info) {
                           return test_name(std::get<0>(info.param)) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace vibnet
