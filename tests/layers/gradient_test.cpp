#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/layer_cases.h"
#include "support/near.h"

namespace vibnet {
namespace {

[[maybe_unused]] const bool kAdded = add_gradient_cases({
    {"Convolution",
     "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 "
     "weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }",
     {{2, 3, 6, 5}},
     1,
     kSmooth},
    {"ConvolutionGrouped",
     "type: 'Convolution' convolution_param { num_output: 6 kernel_size: 2 group: 3 "
     "weight_filler { type: 'gaussian' } }",
     {{3, 6, 4, 3}},
     1,
     kSmooth},
    {"ConvolutionDilated",
     "type: 'Convolution' convolution_param { num_output: 3 kernel_size: 3 dilation: 2 pad: 2 "
     "bias_term: false weight_filler { type: 'gaussian' } }",
     {{2, 2, 6, 5}},
     1,
     kSmooth},
    {"ConvolutionPointwise",
     "type: 'Convolution' convolution_param { num_output: 3 kernel_size: 1 "
     "weight_filler { type: 'gaussian' } }",
     {{2, 4, 3, 3}},
     1,
     kSmooth},
    {"ConvolutionOfTwoBottoms",
     "type: 'Convolution' convolution_param { num_output: 2 kernel_h: 2 kernel_w: 3 "
     "weight_filler { type: 'gaussian' } }",
     {{2, 2, 4, 4}, {2, 2, 4, 4}},
     2,
     kSmooth},
    {"PoolingMax",
     "type: 'Pooling' pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }",
     {{2, 3, 6, 5}},
     1,
     kRanks},
    {"PoolingMax2x2",
     "type: 'Pooling' pooling_param { kernel_size: 2 stride: 2 }",
     {{2, 3, 7, 6}},
     1,
     kRanks},
    {"PoolingAverage",
     "type: 'Pooling' pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }",
     {{2, 3, 6, 5}},
     1,
     kSmooth},
    {"PoolingGlobal",
     "type: 'Pooling' pooling_param { pool: AVE global_pooling: true }",
     {{2, 3, 4, 5}},
     1,
     kSmooth},
    {"InnerProduct",
     "type: 'InnerProduct' inner_product_param { num_output: 5 weight_filler { type: 'gaussian' } "
     "bias_filler { type: 'gaussian' } }",
     {{3, 2, 4}},
     1,
     kSmooth},
    {"InnerProductTransposed",
     "type: 'InnerProduct' inner_product_param { num_output: 5 axis: 2 transpose: true "
     "weight_filler { type: 'gaussian' } }",
     {{3, 2, 4}},
     1,
     kSmooth},
    {"ReLU", "type: 'ReLU'", {{3, 4, 5}}, 1, kKinkAtZero},
    {"ReLULeaky", "type: 'ReLU' relu_param { negative_slope: 0.2 }", {{3, 4, 5}}, 1, kKinkAtZero},
    {"Dropout", "type: 'Dropout' dropout_param { dropout_ratio: 0.4 }", {{3, 4, 5}}, 1, kSmooth},
    {"BatchNorm", "type: 'BatchNorm'", {{4, 3, 3, 2}}, 1, {1e-2, 2e-2, 1e30}},
    {"Scale",
     "type: 'Scale' scale_param { filler { type: 'gaussian' } bias_term: true }",
     {{3, 4, 2, 3}},
     1,
     kSmooth},
    {"ScaleByBottom", "type: 'Scale' scale_param { axis: 0 }", {{3, 4, 2}, {3, 4}}, 1, kSmooth},
    {"Flatten",
     "type: 'Flatten' flatten_param { axis: 1 end_axis: 2 }",
     {{2, 3, 4, 2}},
     1,
     kSmooth},
    {"EltwiseProduct",
     "type: 'Eltwise' eltwise_param { operation: PROD }",
     {{2, 3, 4}, {2, 3, 4}, {2, 3, 4}},
     1,
     kSmooth},
    {"EltwiseSum",
     "type: 'Eltwise' eltwise_param { coeff: 2 coeff: -0.5 }",
     {{2, 3, 4}, {2, 3, 4}},
     1,
     kSmooth},
    {"EltwiseMax",
     "type: 'Eltwise' eltwise_param { operation: MAX }",
     {{2, 3, 4}, {2, 3, 4}, {2, 3, 4}},
     1,
     kRanks},
    {"Concat", "type: 'Concat' concat_param { axis: 1 }", {{2, 3, 4}, {2, 1, 4}}, 1, kSmooth},
    {"Slice",
     "type: 'Slice' slice_param { axis: 1 slice_point: 1 slice_point: 3 }",
     {{2, 5, 3}},
     3,
     kSmooth},
    {"Split", "type: 'Split'", {{2, 5, 3}}, 3, kSmooth},
    {"Softmax", "type: 'Softmax'", {{3, 5, 2}}, 1, kSmooth},
    {"EuclideanLoss", "type: 'EuclideanLoss'", {{3, 5}, {3, 5}}, 1, kSmooth},
    {"BottleneckSpatial",
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.3 "
     "mu_filler { type: 'gaussian' } log_sigma2_filler { type: 'gaussian' mean: -1 } }",
     {{4, 3, 2, 3}},
     1,
     kSmooth},
    {"BottleneckChannel",
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.3 kl_scale: CHANNEL "
     "mu_filler { type: 'gaussian' } log_sigma2_filler { type: 'gaussian' mean: -1 } }",
     {{4, 6}},
     1,
     kSmooth},
    {"BottleneckWidth",
     "type: 'InformationBottleneck' information_bottleneck_param { gamma: 0.3 kl_scale: WIDTH "
     "mu_filler { type: 'gaussian' } log_sigma2_filler { type: 'gaussian' mean: -1 } }",
     {{4, 3, 2, 3}},
     1,
     kSmooth},
    {"SoftmaxWithLoss", "type: 'SoftmaxWithLoss'", {{3, 4, 2}, {3, 2}}, 1, kSmooth, with_labels(4)},
    {"SoftmaxWithLossIgnoring",
     "type: 'SoftmaxWithLoss' loss_param { ignore_label: 1 }",
     {{3, 4, 2}, {3, 2}},
     1,
     kSmooth,
     with_labels(4)},
    {"SoftmaxWithLossBatch",
     "type: 'SoftmaxWithLoss' loss_param { normalization: BATCH_SIZE }",
     {{3, 4, 2}, {3, 2}},
     1,
     kSmooth,
     with_labels(4)},
    {"SoftmaxWithLossSum",
     "type: 'SoftmaxWithLoss' loss_param { normalization: NONE }",
     {{3, 4, 2}, {3, 2}},
     1,
     kSmooth,
     with_labels(4)},
});

class Gradient : public testing::TestWithParam<GradientCase> {};

TEST_P(Gradient, EqualsFiniteDifferences) {
  const GradientCase& one = GetParam();
  LayerFixture fixture(one.prototxt, one.bottoms, one.tops);
  if (one.prepare) one.prepare(&fixture);
  check_gradients(&fixture, one.options);
}

INSTANTIATE_TEST_SUITE_P(Layers, Gradient, testing::ValuesIn(gradient_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

/// The gradients and blobs of the layer with its first bottom as its top, against those with a top
/// of its own.
void compare_in_place(const GradientCase& one) {
  LayerFixture apart(one.prototxt, one.bottoms);
  LayerFixture in_place(one.prototxt, one.bottoms);
  for (LayerFixture* fixture : {&apart, &in_place})
    if (one.prepare) one.prepare(fixture);
  apart.forward();
  apart.backward();
  Layer& layer = in_place.layer();
  Blobs bottoms;
  std::vector<bool> propagate_down;
  for (int b = 0; b < in_place.bottoms(); ++b) {
    bottoms.push_back(&in_place.bottom(b));
    propagate_down.push_back(layer.has_gradient(b));
  }
  const Blobs tops = {bottoms[0]};
  layer.reshape(bottoms, tops);
  layer.forward(bottoms, tops);
  expect_near(values_of(apart.top().cpu_data(), apart.top()),
              values_of(tops[0]->cpu_data(), *tops[0]), "top");
  std::copy_n(apart.top().cpu_diff(), apart.top().count(), tops[0]->mutable_cpu_diff());
  for (const auto& blob : layer.blobs()) blob->set_diff(0);
  layer.backward(tops, propagate_down, bottoms);
  for (int b = 0; b < in_place.bottoms(); ++b)
    expect_near(values_of(apart.bottom(b).cpu_diff(), apart.bottom(b)),
                values_of(bottoms[b]->cpu_diff(), *bottoms[b]), "gradient of the bottom");
  for (std::size_t i = 0; i < layer.blobs().size(); ++i)
    expect_near(values_of(apart.layer().blobs()[i]->cpu_diff(), *layer.blobs()[i]),
                values_of(layer.blobs()[i]->cpu_diff(), *layer.blobs()[i]),
                "gradient of the parameter");
}

TEST(InPlace, ComputesWhatItComputesApart) {
  int layers = 0;
  for (const GradientCase& one : gradient_cases()) {
    LayerFixture fixture(one.prototxt, one.bottoms, one.tops);
    if (!fixture.layer().runs_in_place()) continue;
    SCOPED_TRACE(one.name);
    compare_in_place(one);
    ++layers;
  }
  EXPECT_GT(layers, 0);
}

/// All gradients that backward gives now.
std::vector<float> gradients_of(LayerFixture* fixture) {
  fixture->backward();
  std::vector<float> all;
  const auto append = [&](const Blob& blob) {
    all.insert(all.end(), blob.cpu_diff(), blob.cpu_diff() + blob.count());
  };
  for (int b = 0; b < fixture->bottoms(); ++b)
    if (fixture->layer().has_gradient(b)) append(fixture->bottom(b));
  for (const auto& blob : fixture->layer().blobs()) append(*blob);
  return all;
}

std::unique_ptr<LayerFixture> make_fixture(const GradientCase& one) {
  auto fixture = std::make_unique<LayerFixture>(one.prototxt, one.bottoms, one.tops);
  if (one.prepare) one.prepare(fixture.get());
  return fixture;
}

TEST(Gradients, OfParametersAreAddedUp) {
  for (const GradientCase& one : gradient_cases()) {
    SCOPED_TRACE(one.name);
    const auto fixture = make_fixture(one);
    Layer& layer = fixture->layer();
    if (layer.blobs().empty()) continue;
    fixture->forward();
    fixture->backward();
    Blobs bottoms, tops;
    for (int b = 0; b < fixture->bottoms(); ++b) bottoms.push_back(&fixture->bottom(b));
    for (int t = 0; t < fixture->tops(); ++t) tops.push_back(&fixture->top(t));
    std::vector<std::vector<float>> twice;
    for (const auto& blob : layer.blobs()) {
      twice.push_back(values_of(blob->cpu_diff(), *blob));
      for (float& value : twice.back()) value *= 2;
    }
    layer.backward(tops, std::vector<bool>(bottoms.size(), false), bottoms);
    for (std::size_t i = 0; i < twice.size(); ++i)
      expect_near(twice[i], values_of(layer.blobs()[i]->cpu_diff(), *layer.blobs()[i]),
                  "gradient of the parameter");
  }
}

/// Or else a layer in place behind it would spoil its gradients.
TEST(ReadsTops, IsSaidByEachLayerWhoseBackwardDoes) {
  int overwritten = 0;
  std::vector<GradientCase> cases = gradient_cases();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const GradientCase one = cases[i];
    if (one.tops == 1 && make_fixture(one)->layer().top_count().max == 2) {
      cases.push_back(one);
      cases.back().tops = 2;
    }
    SCOPED_TRACE(one.name);
    const auto made = make_fixture(one);
    LayerFixture& fixture = *made;
    fixture.forward();
    Blobs bottoms, tops;
    for (int b = 0; b < fixture.bottoms(); ++b) bottoms.push_back(&fixture.bottom(b));
    for (int t = 0; t < fixture.tops(); ++t) tops.push_back(&fixture.top(t));
    if (fixture.layer().reads_tops(bottoms, tops) || fixture.layer().shares_data()) continue;
    const std::vector<float> expected = gradients_of(&fixture);
    for (Blob* top : tops) top->set_data(-0.75f);
    expect_near(expected, gradients_of(&fixture), "gradients");
    ++overwritten;
  }
  EXPECT_GT(overwritten, 0);
}

}  // namespace
}  // namespace vibnet
