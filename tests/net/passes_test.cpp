// Layers that run together, and blobs that share memory, against the net that keeps every blob.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_fixture.h"
#include "support/outputs.h"
#include "support/random_graphs.h"
#include "support/trained_graph.h"
#include "support/trained_net.h"
#include "vibnet/net.h"
#include "vibnet/random.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-5;
/// Of gradients: what a gate restores is off by a rounding, and sums of it may cancel.
constexpr double kGradientTolerance = 5e-5;

NetOptions options_of(Phase phase, bool keeps_blobs) {
  NetOptions options;
  options.phase = phase;
  options.keeps_blobs = keeps_blobs;
  return options;
}

struct Fused {
  int graphs = 0;
  /// A hundred layers may raise a gradient beyond what a float holds.
  int finite = 0;
  int with_passes = 0;
  /// Whose layers in place on an input would spoil a gradient.
  int refused = 0;
};

bool has_passes(const Net& net) {
  for (int i = 0; i < static_cast<int>(net.layers().size()); ++i)
    if (net.pass_of(i) != i) return true;
  return false;
}

std::vector<NamedValues> two_passes(const NetParameter& model, const NetParameter& weights,
                                    bool keeps_blobs, bool* fuses = nullptr) {
  Net net(model, options_of(TRAIN, keeps_blobs));
  if (fuses != nullptr) *fuses = has_passes(net);
  return two_passes(model, weights, &net);
}

void train_graph(std::uint32_t seed, Fused* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter weights = random_graph_weights(graph, seed);
  const NetParameter apart = for_training(net_of(graph.prototxt), InPlace::NO);
  const auto expected = two_passes(apart, weights, true);
  bool fuses = false;
  const auto found = two_passes(apart, weights, false, &fuses);
  ++counts->graphs;
  if (!is_finite(expected[1])) return;
  ++counts->finite;
  const auto tolerance = [](int i) { return i % 2 == 0 ? kTolerance : kGradientTolerance; };
  for (int i = 0; i < 4; ++i) EXPECT_LE(difference(expected[i], found[i]), tolerance(i)) << i;

  const NetParameter excepted = with_exceptions(apart, seed);
  const auto expected_excepted = two_passes(excepted, weights, true);
  const auto found_excepted = two_passes(excepted, weights, false);
  for (int i = 0; i < 4; ++i)
    EXPECT_LE(difference(expected_excepted[i], found_excepted[i]), tolerance(i)) << i;

  const NetParameter in_place = for_training(net_of(graph.prototxt), InPlace::YES);
  const std::string error = error_of([&] { Net(in_place, options_of(TRAIN, true)); });
  if (!error.empty()) {
    EXPECT_THAT(error, testing::HasSubstr("cannot work in place on an input"));
    ++counts->refused;
    return;
  }
  const auto expected_in_place = two_passes(in_place, weights, true);
  const auto found_in_place = two_passes(in_place, weights, false);
  for (int i = 0; i < 4; ++i) {
    EXPECT_LE(difference(expected_in_place[i], found_in_place[i]), tolerance(i)) << i;
    const bool is_gradients = i % 2 == 1;  // outputs have other names
    if (!is_gradients) continue;
    EXPECT_LE(difference(expected[i], expected_in_place[i]), tolerance(i)) << i;
  }
  if (fuses) ++counts->with_passes;
}

TEST(Passes, LeaveOutputsAndGradientsOfRandomGraphs) {
  const auto counts = on_random_graphs(train_graph);
  if (counts.graphs == 1) return;
  EXPECT_GE(counts.finite, counts.graphs * 99 / 100);
  EXPECT_GE(counts.with_passes, counts.graphs / 2);
  EXPECT_LE(counts.refused, counts.graphs / 20);
}

void test_graph(std::uint32_t seed, Fused* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = net_of(graph.prototxt);
  const NetParameter weights = random_graph_weights(graph, seed);
  Net whole(model, options_of(TEST, true));
  Net fused(model, options_of(TEST, false));
  for (Net* net : {&whole, &fused}) net->copy_weights(weights, "weights", Missing::FAIL);
  for (const std::uint64_t key : {1, 2}) {
    const NamedValues inputs = noise_for(model, key);
    EXPECT_LE(difference(forward(inputs, &whole), forward(inputs, &fused)), kTolerance);
  }
  ++counts->graphs;
  if (has_passes(fused)) ++counts->with_passes;
}

TEST(Passes, LeaveTheScoresOfRandomGraphs) {
  const auto counts = on_random_graphs(test_graph);
  if (counts.graphs == 1) return;
  EXPECT_GE(counts.with_passes, counts.graphs / 2);
}

constexpr char kChain[] = R"(
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 5 dim: 3 dim: 13 dim: 11 } } }
  layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
    convolution_param { num_output: 7 kernel_size: 3 weight_filler { type: "msra" } } }
  layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
  layer { name: "scale" type: "Scale" bottom: "conv" top: "conv"
    scale_param { bias_term: true filler { type: "gaussian" mean: 1 std: 0.3 } bias_filler { type: "gaussian" std: 0.3 } } }
  layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
)";

constexpr char kGate[] = R"(
  layer { name: "gate" type: "InformationBottleneck" bottom: "conv" top: "gate"
    information_bottleneck_param { gamma: 0.01 log_sigma2_filler { value: -2 } } }
)";

/// What the chain's last blob gets for a gradient, by hand, since it is the net's output.
NamedValues noise(const Net& net) {
  Blob values(net.blob("data")->shape());
  fill_gaussian(3, &values);
  return {{"data", {values.shape(), {values.cpu_data(), values.cpu_data() + values.count()}}}};
}

void expect_same_gradients(Net* whole, Net* fused) {
  whole->backward();
  fused->backward();
  EXPECT_LE(difference(as_one(gradients_of(*whole)), as_one(gradients_of(*fused))), kTolerance);
}

TEST(Passes, RunAChainOfLayersInPlaceAsOne) {
  for (const std::string& text : {std::string(kChain), std::string(kChain) + kGate}) {
    const NetParameter model = net_of(text);
    Net whole(for_training(model, InPlace::NO), options_of(TRAIN, true));
    Net fused(for_training(model, InPlace::YES), options_of(TRAIN, false));
    fused.copy_weights(whole.to_proto(), "weights", Missing::FAIL);
    const int last = static_cast<int>(fused.layers().size()) - 1;
    EXPECT_EQ("bn", fused.layers()[fused.pass_of(last)]->name());
    EXPECT_EQ(last, whole.pass_of(last));
    const NamedValues inputs = noise(whole);
    for (int pass = 0; pass < 2; ++pass) {
      const NamedValues expected = forward(inputs, &whole);
      const NamedValues found = forward(inputs, &fused);
      ASSERT_EQ(1U, expected.size());
      EXPECT_LE(difference({{"y", expected.begin()->second}}, {{"y", found.begin()->second}}),
                kTolerance);
      expect_same_gradients(&whole, &fused);
    }
  }
}

/// There is no layer before them that could write elsewhere.
TEST(Passes, LeaveInPlaceWhatLayersOnTheDataRead) {
  const NetParameter model = net_of(R"(
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 5 dim: 3 dim: 6 dim: 4 } } }
    layer { name: "scale" type: "Scale" bottom: "data" top: "data"
      scale_param { filler { type: "gaussian" mean: 1 std: 0.3 } } }
    layer { name: "bn" type: "BatchNorm" bottom: "data" top: "data" }
    layer { name: "swish" type: "Swish" bottom: "data" top: "data" }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
      inner_product_param { num_output: 2 weight_filler { type: "msra" } } }
  )");
  Net whole(for_training(model, InPlace::NO), options_of(TRAIN, true));
  Net fused(for_training(model, InPlace::YES), options_of(TRAIN, false));
  fused.copy_weights(whole.to_proto(), "weights", Missing::FAIL);
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_LE(difference(forward(noise(whole), &whole), forward(noise(whole), &fused)), kTolerance);
    expect_same_gradients(&whole, &fused);
  }
}

/// Bytes that a net of a model takes at most, over its weights.
std::size_t peak_of(const NetParameter& model, Phase phase, bool keeps_blobs) {
  reset_peak_memory();
  const std::size_t before = memory_usage().current;
  Net net(model, options_of(phase, keeps_blobs));
  for (int i = 0; i < 2; ++i) {
    net.forward();
    if (phase == TRAIN) net.backward();
  }
  return memory_usage().peak - before;
}

/// A net that ends with these layers on the blob "y", which a Sigmoid makes in place.
std::string on_sigmoid(const std::string& layers) {
  return R"(
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 6 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
      inner_product_param { num_output: 3 weight_filler { type: "msra" } } }
    layer { name: "sigmoid" type: "Sigmoid" bottom: "y" top: "y" })" +
         layers;
}

/// The gradient of the inner product's weights.
std::vector<float> gradient_of_weights(Net* net) {
  fill_gaussian(2, net->blob("x"));
  net->clear_gradients();
  net->forward();
  net->backward();
  const Blob& weights = *net->layer("ip")->blobs()[0];
  return {weights.cpu_diff(), weights.cpu_diff() + weights.count()};
}

TEST(InPlace, GivesTheGradientsOfLayersWithTopsOfTheirOwn) {
  const std::string loss =
      "layer { name: 'loss' type: 'Reduction' bottom: 'TOP' top: 'loss' "
      "loss_weight: 0.5 reduction_param { operation: SUMSQ } }";
  const std::string layers[] = {
      "layer { name: 'a' type: 'Power' bottom: 'y' top: 'TOP' power_param { scale: 3 shift: -1 } "
      "}" +
          loss,
      "layer { name: 'a' type: 'TanH' bottom: 'y' top: 'TOP' loss_weight: 0.3 }",
      "layer { name: 'a' type: 'Bias' bottom: 'y' top: 'TOP' propagate_down: false }" + loss,
      "layer { name: 'a' type: 'Dropout' bottom: 'y' top: 'TOP' }" + loss,
  };
  for (const std::string& text : layers)
    for (const bool keeps_blobs : {true, false})
      for (const bool forces : {true, false}) {
        SCOPED_TRACE(text);
        std::vector<std::vector<float>> found;
        for (const char* top : {"y", "z"}) {
          std::string own = text;
          for (std::size_t at = own.find("TOP"); at != std::string::npos; at = own.find("TOP"))
            own.replace(at, 3, top);
          NetParameter model = net_of(on_sigmoid(own));
          model.set_force_backward(forces);
          Net net(model, options_of(TRAIN, keeps_blobs));
          gradient_of_weights(&net);  // what one pass leaves must not matter to the next
          found.push_back(gradient_of_weights(&net));
        }
        ASSERT_EQ(found[0].size(), found[1].size());
        for (std::size_t i = 0; i < found[0].size(); ++i)
          EXPECT_NEAR(found[0][i], found[1][i], 1e-6) << i;
      }
}

TEST(InPlace, AProbabilityMayBeChangedBehindItsLoss) {
  const std::string net = R"(
    layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" top: "p" })";
  const std::string more = R"(
    layer { name: "power" type: "Power" bottom: "p" top: "p" power_param { scale: 100 } })";
  Net plain(net_of(on_sigmoid(net)), options_of(TRAIN, true));
  Net changed(net_of(on_sigmoid(net + more)), options_of(TRAIN, true));
  EXPECT_EQ(gradient_of_weights(&plain), gradient_of_weights(&changed));
}

TEST(InPlace, ALossThatGrowsHasItsWeightEverywhere) {
  Net net(
      net_of(on_sigmoid("layer { name: 'a' type: 'TanH' bottom: 'y' top: 'y' loss_weight: 0.3 }")),
      options_of(TRAIN, true));
  net.blob("x")->reshape({9, 6});
  net.reshape();
  gradient_of_weights(&net);
  for (int i = 0; i < 27; ++i) EXPECT_EQ(net.blob("y")->cpu_diff()[i], 0.3f);
}

TEST(InPlace, ALearnedTopKeepsItsValues) {
  Net net(net_of(R"(
    layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }
    layer { name: "exp" type: "Exp" bottom: "p" top: "p" })"),
          options_of(TEST, true));
  for (int pass = 0; pass < 3; ++pass) net.forward();
  EXPECT_EQ(net.blob("p")->cpu_data()[0], 1);
  EXPECT_EQ(net.layers()[0]->blobs()[0]->cpu_data()[0], 0);
}

TEST(InPlace, OnAnInputIsRefusedWhereItSpoilsAGradient) {
  const NetParameter model = net_of(R"(
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 6 } } }
    layer { name: "scale" type: "Scale" bottom: "x" top: "x" }
    layer { name: "sigmoid" type: "Sigmoid" bottom: "x" top: "x" }
    layer { name: "power" type: "Power" bottom: "x" top: "x" }
    layer { name: "loss" type: "Reduction" bottom: "x" top: "loss" loss_weight: 1 })");
  EXPECT_THAT(error_of([&] { Net(model, options_of(TRAIN, true)); }),
              testing::HasSubstr("layer 'power' (Power): cannot work in place on an input, as the "
                                 "gradient of 'sigmoid' needs what it would overwrite"));
  Net(model, options_of(TEST, true)).forward();
}

TEST(InPlace, BehindAConcatTakesNoMemory) {
  const std::string net = R"(
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 8 dim: 64 dim: 64 } } }
    layer { name: "a" type: "Power" bottom: "x" top: "a" }
    layer { name: "y" type: "Concat" bottom: "a" bottom: "x" top: "y" })";
  const std::string relu = "layer { name: 'r' type: 'ReLU' bottom: 'y' top: 'y' }";
  constexpr std::size_t kSum = 16 * 64 * 64 * sizeof(float);
  EXPECT_LT(peak_of(net_of(net + relu), TEST, true), peak_of(net_of(net), TEST, true) + kSum / 2);
}

/// A ReLU out of place that the convolution takes along, and a layer that compares shapes.
TEST(Passes, TakeAnotherBatch) {
  const NetParameter model = net_of(R"(
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 5 dim: 3 dim: 6 dim: 4 } } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "msra" } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" }
    layer { name: "sum" type: "Eltwise" bottom: "relu" bottom: "data" top: "sum" }
  )");
  Net whole(model, options_of(TEST, true));
  Net fused(model, options_of(TEST, false));
  fused.copy_weights(whole.to_proto(), "weights", Missing::FAIL);
  EXPECT_TRUE(has_passes(fused));
  for (const int batch : {5, 2, 9}) {
    for (Net* net : {&whole, &fused}) {
      net->blob("data")->reshape({batch, 3, 6, 4});
      net->reshape();
    }
    EXPECT_LE(difference(forward(noise(whole), &whole), forward(noise(whole), &fused)), kTolerance);
  }
}

constexpr char kBranch[] = R"(
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 5 dim: 3 dim: 13 dim: 11 } } }
  layer { name: "first" type: "Convolution" bottom: "data" top: "first"
    convolution_param { num_output: 7 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
  layer { name: "branch" type: "Convolution" bottom: "first" top: "branch"
    convolution_param { num_output: 7 kernel_size: 3 pad: 1 weight_filler { type: "msra" } bias_filler { value: 0.1 } } }
)";

/// A net whose sum is the work of `layer`, or of itself where that is "sum", and its scores.
void expect_sum_by(const std::string& layer, const std::string& rest) {
  const NetParameter model = net_of(kBranch + rest);
  Net whole(model, options_of(TEST, true));
  Net fused(model, options_of(TEST, false));
  fused.copy_weights(whole.to_proto(), "weights", Missing::FAIL);
  for (int i = 0; i < static_cast<int>(fused.layers().size()); ++i) {
    if (fused.layers()[i]->name() != "sum") continue;
    EXPECT_EQ(layer, fused.layers()[fused.pass_of(i)]->name()) << rest;
  }
  for (const int batch : {5, 2, 9}) {
    for (Net* net : {&whole, &fused}) {
      net->blob("data")->reshape({batch, 3, 13, 11});
      net->reshape();
    }
    EXPECT_LE(difference(forward(noise(whole), &whole), forward(noise(whole), &fused)), kTolerance)
        << rest;
  }
}

TEST(Passes, SumBranchesInTheConvolutionThatComesLast) {
  const std::string relu = R"(layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" })";
  const auto sum = [](const std::string& bottoms, const std::string& parameter = "") {
    return "layer { name: 'sum' type: 'Eltwise' top: 'sum' " + bottoms + " eltwise_param { " +
           parameter + " } }";
  };
  const std::string both = "bottom: 'first' bottom: 'branch'";
  expect_sum_by("branch", sum(both));
  expect_sum_by("branch", sum(both) + "layer { name: 'r' type: 'ReLU' bottom: 'sum' top: 'r' }");
  expect_sum_by("branch", sum("bottom: 'branch' bottom: 'first'") + relu);
  expect_sum_by("branch", "layer { name: 'reader' type: 'TanH' bottom: 'first' top: 'reader' }" +
                              sum(both) + relu);
  expect_sum_by("sum", sum(both, "coeff: 1 coeff: -1"));
  expect_sum_by("sum", sum(both, "operation: MAX"));
  expect_sum_by("sum", sum(both + " bottom: 'first'"));
  expect_sum_by("sum", sum("bottom: 'branch' bottom: 'branch'"));
  expect_sum_by("sum", "layer { name: 'act' type: 'ReLU' bottom: 'branch' top: 'branch' }" +
                           sum(both) + relu);
  expect_sum_by("sum", "layer { name: 'act' type: 'TanH' bottom: 'first' top: 'act' }" +
                           sum("bottom: 'branch' bottom: 'act'") + relu);
  expect_sum_by("sum",
                "layer { name: 'reader' type: 'TanH' bottom: 'branch' top: 'reader' }" + sum(both));
}

/// Gradients of the layer "conv", in three rounds, as what one leaves in memory must not matter to
/// the next: of a net with this behind a convolution, and as the net that keeps every blob has
/// them.
void expect_gradients_of_conv(const std::string& rest) {
  const NetParameter model = net_of(R"(
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 3 dim: 3 dim: 6 dim: 5 } } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } })" +
                                    rest);
  Net whole(model, options_of(TRAIN, true));
  Net fused(model, options_of(TRAIN, false));
  fused.copy_weights(whole.to_proto(), "weights", Missing::FAIL);
  for (int round = 0; round < 3; ++round) {
    for (Net* net : {&whole, &fused}) {
      fill_gaussian(3, net->blob("data"));
      net->clear_gradients();
      net->forward();
      net->backward();
    }
    const Blob& expected = *whole.layer("conv")->blobs()[0];
    const Blob& found = *fused.layer("conv")->blobs()[0];
    double largest = 1e-3;
    for (int i = 0; i < expected.count(); ++i)
      largest = std::max(largest, std::fabs(double{expected.cpu_diff()[i]}));
    for (int i = 0; i < expected.count(); ++i)
      ASSERT_NEAR(expected.cpu_diff()[i], found.cpu_diff()[i], kGradientTolerance * largest)
          << "round " << round << rest;
  }
}

TEST(Passes, WriteWhereTheyReadOnlyIfNoGradientIsSpoiled) {
  const std::string relu = "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'relu' ";
  const std::string gate =
      "layer { name: 'gate' type: 'InformationBottleneck' top: 'gate' bottom: ";
  const std::string loss =
      "layer { name: 'loss' type: 'Reduction' bottom: 'gate' top: 'loss' loss_weight: 0.5 "
      "reduction_param { operation: SUMSQ } }";
  const std::string stop =
      "layer { name: 'stop' type: 'Convolution' bottom: 'gate' top: 'stop' propagate_down: false "
      "convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: 'msra' } } } "
      "layer { name: 'more' type: 'InnerProduct' bottom: 'stop' top: 'more' "
      "inner_product_param { num_output: 9 weight_filler { type: 'msra' } } } "
      "layer { name: 'loss' type: 'Reduction' bottom: 'more' top: 'loss' loss_weight: 0.5 "
      "reduction_param { operation: SUMSQ } }";
  expect_gradients_of_conv(relu + "}" + gate + "'relu' }" + loss);
  expect_gradients_of_conv(gate + "'conv' propagate_down: false }" + loss);
  expect_gradients_of_conv(gate + "'conv' loss_weight: 0.3 }");
  expect_gradients_of_conv(gate + "'conv' loss_weight: 0.3 }" + loss);
  expect_gradients_of_conv(gate + "'conv' }" + stop);
  expect_gradients_of_conv(relu + "propagate_down: false }" + gate + "'relu' }" + loss);
  expect_gradients_of_conv(relu + "relu_param { negative_slope: -0.3 } }" + gate + "'relu' }" +
                           loss);
  expect_gradients_of_conv("layer { name: 'gate' type: 'ReLU' bottom: 'conv' top: 'conv' }" +
                           std::string(stop).replace(stop.find("'gate'"), 6, "'conv'"));
}

TEST(Passes, TakeWeightsThatNobodyWrote) {
  const NetParameter model = net_of(R"(
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 5 dim: 3 dim: 4 dim: 4 } } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 3 kernel_size: 3 } }
    layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param { num_output: 2 } }
  )");
  NetOptions options = options_of(TEST, false);
  options.fills_parameters = false;
  Net net(model, options);
  EXPECT_EQ(0, forward(noise(net), &net).at("ip").values[0]);
}

TEST(Passes, GiveTheSameBytesOnOneThreadAndOnTwo) {
  const NetParameter model = for_training(net_of(std::string(kChain) + kGate), InPlace::YES);
  std::vector<std::string> gradients;
  const int threads = omp_get_max_threads();
  for (const int count : {1, 2}) {
    omp_set_num_threads(count);
    Net net(model, options_of(TRAIN, false));
    forward(noise(net), &net);
    net.backward();
    gradients.push_back(gradients_of(net).SerializeAsString());
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(Passes, TakeLessMemory) {
  NetParameter model = net_of(kChain);
  for (int i = 0; i < 6; ++i) {
    const std::string from = i == 0 ? "conv" : "c" + std::to_string(i - 1);
    NetParameter more = net_of(std::string(kChain));
    LayerParameter conv = more.layer(1);
    conv.set_name("c" + std::to_string(i));
    conv.set_bottom(0, from);
    conv.set_top(0, "c" + std::to_string(i));
    conv.mutable_convolution_param()->add_pad(1);
    *model.add_layer() = conv;
  }
  const NetParameter training = for_training(model, InPlace::YES);
  EXPECT_LE(peak_of(training, TRAIN, false), peak_of(training, TRAIN, true) * 3 / 4);
  EXPECT_LE(peak_of(model, TEST, false), peak_of(model, TEST, true) * 6 / 10);
}

/// A gradient that a pass has handed down is needed no more than that of a layer alone.
TEST(Passes, HandDownGradientsInSharedMemory) {
  constexpr int kChains = 8;
  std::size_t peaks[2];
  for (const int chains : {1, kChains}) {
    NetParameter model = net_of(kChain);
    const NetParameter chain = model;
    model.mutable_layer()->DeleteSubrange(1, model.layer_size() - 1);
    for (int i = 0; i < chains; ++i)
      for (int l = 1; l < chain.layer_size(); ++l) {
        LayerParameter layer = chain.layer(l);
        layer.set_name(layer.name() + std::to_string(i));
        layer.set_top(0, "conv" + std::to_string(i));
        const bool is_convolution = layer.type() == "Convolution";
        const std::string before = i == 0 ? "data" : "conv" + std::to_string(i - 1);
        layer.set_bottom(0, is_convolution ? before : layer.top(0));
        if (is_convolution) layer.mutable_convolution_param()->add_pad(1);
        *model.add_layer() = layer;
      }
    peaks[chains == 1 ? 0 : 1] = peak_of(for_training(model, InPlace::YES), TRAIN, false);
  }
  constexpr std::size_t kMap = 5 * 7 * 13 * 11 * sizeof(float);
  // What a chain reads and what it writes.
  EXPECT_LT(peaks[1] - peaks[0], (kChains - 1) * kMap * 5 / 2);
}

}  // namespace
}  // namespace vibnet
