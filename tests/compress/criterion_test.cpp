#include "compress/criterion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "net/deploy.h"
#include "net/filter.h"
#include "support/cut_graph.h"
#include "support/error_of.h"
#include "support/layer_fixture.h"
#include "support/models.h"
#include "support/outputs.h"
#include "support/trained_net.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string normalized(const std::string& name, const std::string& bottom, int outputs) {
  return convolution(name, bottom, outputs) + in_place(name + "_bn", "BatchNorm", name) +
         in_place(name + "_scale", "Scale", name, "scale_param { bias_term: true }");
}

/// Convolution, pooling, deconvolution, two inner products, one with transposed weights.
std::string plain_chain() {
  return input_of({2, 3, 8, 8}) + convolution("conv", "data", 6) +
         in_place("relu", "ReLU", "conv") +
         layer("pool", "Pooling", "conv", "pooling_param { kernel_size: 2 stride: 2 }") +
         layer("deconv", "Deconvolution", "pool",
               "convolution_param { num_output: 5 kernel_size: 2 }") +
         inner_product("ip1", "deconv", 7) + inner_product("ip2", "ip1", 9, "transpose: true") +
         layer("sigmoid", "Sigmoid", "ip2") + inner_product("ip3", "sigmoid", 4);
}

NetWithWeights gated(const std::string& prototxt, Criterion criterion, int seed = 1) {
  const NetParameter model = net_of(prototxt);
  return add_gates(model, random_weights(model, seed), {}, criterion);
}

/// "gate_conv: conv -> pool", per gate in the order of the net.
std::vector<std::string> gates_of(const NetParameter& net) {
  std::vector<std::string> found;
  for (const LayerParameter& gate : net.layer()) {
    if (gate.type() != "InformationBottleneck") continue;
    std::string readers;
    for (const LayerParameter& reader : net.layer())
      for (const std::string& bottom : reader.bottom())
        if (bottom == gate.top(0)) readers += " " + reader.name();
    found.push_back(gate.name() + ": " + gate.bottom(0) + " ->" + readers);
  }
  return found;
}

std::vector<float> scores_in(const NetParameter& weights, const std::string& gate) {
  const LayerParameter* layer = find_layer(weights, gate);
  if (layer == nullptr) return {};
  for (const float mu : layer->blobs(0).data()) EXPECT_EQ(mu, 1);
  return {layer->blobs(1).data().begin(), layer->blobs(1).data().end()};
}

/// Sums |w| of each output, found by running the layer without its bias on single values.
std::vector<double> magnitudes_by_running(const LayerParameter& layer, const Shape& shape) {
  NetParameter net = net_of(input_of(shape));
  *net.add_layer() = layer;
  net.mutable_layer(1)->set_bottom(0, "data");
  NetParameter weights = net;
  net.mutable_layer(1)->clear_blobs();
  for (float& bias : *weights.mutable_layer(1)->mutable_blobs(1)->mutable_data()) bias = 0;
  Net runs(net, NetOptions());
  runs.copy_weights(weights, "weights", Missing::FAIL);
  std::vector<double> sums(runs.blob(layer.top(0))->shape(1));
  Blob& input = *runs.blob("data");
  const int inner = input.count(2);
  for (int channel = 0; channel < shape[1]; ++channel) {
    // One value in the middle meets every weight of a kernel once; flattened, each value meets one.
    const bool is_flat = layer.type() == "InnerProduct";
    for (int at = is_flat ? 0 : inner / 2; at < (is_flat ? inner : inner / 2 + 1); ++at) {
      input.set_data(0);
      input.mutable_cpu_data()[channel * inner + at] = 1;
      runs.forward();
      const Blob& y = *runs.blob(layer.top(0));
      const int places = y.count(2);
      for (int i = 0; i < y.count(1); ++i) sums[i / places] += std::fabs(y.cpu_data()[i]);
    }
  }
  return sums;
}

/// The score as its definition has it: the share of the units that are larger.
std::vector<float> shares_of_larger(const std::vector<double>& sizes) {
  std::vector<float> shares;
  for (const double size : sizes)
    shares.push_back(static_cast<float>(std::count_if(sizes.begin(), sizes.end(),
                                                      [&](double other) { return other > size; })) /
                     static_cast<float>(sizes.size()));
  return shares;
}

TEST(Criterion, L1RanksTheFiltersOfALayer) {
  const NetWithWeights net = gated(plain_chain(), Criterion::L1);
  const std::map<std::string, Shape> bottoms = {
      {"conv", {1, 3, 9, 9}}, {"deconv", {1, 6, 5, 5}}, {"ip1", {1, 5, 5, 5}}, {"ip2", {1, 7}}};
  for (const auto& [name, shape] : bottoms) {
    const LayerParameter* producer = find_layer(net.weights, name);
    ASSERT_NE(producer, nullptr);
    EXPECT_EQ(scores_in(net.weights, "gate_" + name),
              shares_of_larger(magnitudes_by_running(*producer, shape)))
        << name;
  }
}

TEST(Criterion, L1RanksTheFiltersOfEachGroup) {
  for (const char* type : {"Convolution", "Deconvolution"}) {
    const NetWithWeights net =
        gated(input_of({2, 4, 8, 8}) +
                  layer("grouped", type, "data",
                        "convolution_param { num_output: 10 kernel_size: 3 pad: 1 group: 2 }") +
                  inner_product("ip", "grouped", 3),
              Criterion::L1);
    const auto sums = magnitudes_by_running(*find_layer(net.weights, "grouped"), {1, 4, 9, 9});
    std::vector<float> expected = shares_of_larger({sums.begin(), sums.begin() + 5});
    const std::vector<float> second = shares_of_larger({sums.begin() + 5, sums.end()});
    expected.insert(expected.end(), second.begin(), second.end());
    EXPECT_EQ(scores_in(net.weights, "gate_grouped"), expected) << type;
  }
}

TEST(Criterion, L1KeepsTheFirstOfEqualFilters) {
  const NetParameter model = net_of(plain_chain());
  NetParameter weights = random_weights(model, 1);
  for (LayerParameter& layer : *weights.mutable_layer())
    if (layer.name() == "conv")
      for (float& value : *layer.mutable_blobs(0)->mutable_data()) value = -0.5f;
  const NetWithWeights net = add_gates(model, weights, {}, Criterion::L1);
  EXPECT_THAT(scores_in(net.weights, "gate_conv"),
              ElementsAre(0.0f, 1 / 6.0f, 2 / 6.0f, 3 / 6.0f, 4 / 6.0f, 5 / 6.0f));
}

TEST(Criterion, AGateEndsTheRunOfLayersThatWorkByValue) {
  const NetWithWeights net = gated(plain_chain(), Criterion::L1);
  EXPECT_THAT(gates_of(net.model),
              ElementsAre("gate_conv: conv -> pool", "gate_deconv: deconv -> ip1",
                          "gate_ip1: ip1 -> ip2", "gate_ip2: sigmoid -> ip3"));
}

/// A residual block on a stem, and a branch of two convolutions joined by Concat.
std::string graph() {
  return input_of({2, 3, 6, 6}) + normalized("stem", "data", 4) +
         in_place("stem_relu", "ReLU", "stem") + normalized("a", "stem", 5) +
         in_place("a_relu", "ReLU", "a") + normalized("b", "a", 4) +
         "layer { name: 'sum' type: 'Eltwise' bottom: 'stem' bottom: 'b' top: 'sum' }\n" +
         in_place("sum_relu", "ReLU", "sum") + convolution("c", "sum", 3) +
         convolution("d", "sum", 2) +
         convolution("grouped", "sum", 6, "kernel_size: 3 pad: 1 group: 2") +
         "layer { name: 'join' type: 'Concat' bottom: 'c' bottom: 'd' bottom: 'grouped' top: "
         "'join' }\n" +
         convolution("last", "join", 4) + in_place("last_relu", "ReLU", "last") +
         layer("pool", "Pooling", "last", "pooling_param { pool: AVE global_pooling: true }") +
         layer("prob", "Softmax", "pool");
}

TEST(Criterion, FindsItsPlaceInAGraph) {
  EXPECT_THAT(
      gates_of(gated(graph(), Criterion::L1).model),
      ElementsAre("gate_stem: stem -> a sum", "gate_a: a -> b", "gate_b: b -> sum",
                  "gate_c: c -> join", "gate_d: d -> join", "gate_grouped: grouped -> join"));
  EXPECT_THAT(gates_of(gated(graph(), Criterion::BATCH_NORM).model),
              ElementsAre("gate_stem: stem -> a sum", "gate_a: a -> b", "gate_b: b -> sum"));
}

TEST(Criterion, BatchNormRanksByTheScaleOverTheWholeNet) {
  const NetParameter model = net_of(graph());
  NetParameter weights = random_weights(model, 1);
  for (LayerParameter& layer : *weights.mutable_layer())
    if (layer.name() == "a_scale")
      for (int c = 0; c < 5; ++c) layer.mutable_blobs(0)->set_data(c, 0.5f * (c - 2));
  const NetWithWeights net = add_gates(model, weights, {}, Criterion::BATCH_NORM);
  EXPECT_THAT(scores_in(net.weights, "gate_a"), ElementsAre(-1, -0.5f, 0, -0.5f, -1));
  EXPECT_EQ(find_layer(net.model, "gate_a")->information_bottleneck_param().threshold(), 0);
}

std::vector<float> scores_of_output(const NetParameter& model, const NetParameter& weights) {
  Net net(model, NetOptions());
  net.copy_weights(weights, "weights", Missing::FAIL);
  fill_gaussian(3, net.blob(net.input_names()[0]));
  net.forward();
  const Blob* y = net.blob(net.output_names().back());
  return {y->cpu_data(), y->cpu_data() + y->count()};
}

TEST(Criterion, GatesLetEverythingThroughToBeginWith) {
  for (const std::string& prototxt : {plain_chain(), graph()}) {
    const NetParameter model = net_of(prototxt);
    const NetParameter weights = random_weights(model, 4);
    const NetWithWeights net = add_gates(model, weights, {}, Criterion::L1);
    EXPECT_EQ(scores_of_output(net.model, net.weights), scores_of_output(model, weights));
  }
}

/// The filters that are left, found by their weights.
TEST(Criterion, CompressCutsTheFiltersOfTheLargestScores) {
  const NetParameter model = net_of(
      input_of({2, 3, 8, 8}) + convolution("conv", "data", 6) + in_place("relu", "ReLU", "conv") +
      layer("pool", "Pooling", "conv", "pooling_param { kernel_size: 2 stride: 2 }") +
      inner_product("ip1", "pool", 7) + inner_product("ip2", "ip1", 9, "transpose: true") +
      inner_product("ip3", "ip2", 4));
  const NetParameter weights = random_weights(model, 2);
  const NetWithWeights net = add_gates(model, weights, {}, Criterion::L1);
  CompressOptions options;
  options.threshold = 0.5f;
  const CompressedNet small = compress(net.model, net.weights, options);
  const LayerParameter& conv = *find_layer(weights, "conv");
  std::vector<std::pair<double, int>> sizes;
  for (int o = 0; o < 6; ++o) {
    double sum = 0;
    for (int i = 0; i < 27; ++i) sum += std::fabs(conv.blobs(0).data(o * 27 + i));
    sizes.emplace_back(-sum, o);
  }
  std::sort(sizes.begin(), sizes.end());
  std::vector<int> largest = {sizes[0].second, sizes[1].second, sizes[2].second};
  std::sort(largest.begin(), largest.end());
  std::vector<float> expected;
  for (const int o : largest)
    expected.insert(expected.end(), conv.blobs(0).data().begin() + o * 27,
                    conv.blobs(0).data().begin() + (o + 1) * 27);
  const auto& left = find_layer(small.weights, "conv")->blobs(0).data();
  EXPECT_EQ(std::vector<float>(left.begin(), left.end()), expected);
  EXPECT_EQ(find_layer(small.model, "ip1")->inner_product_param().num_output(), 4u);
  EXPECT_EQ(find_layer(small.model, "ip2")->inner_product_param().num_output(), 5u);
  EXPECT_EQ(find_layer(small.model, "ip3")->inner_product_param().num_output(), 4u);
}

/// Residual sums, concatenations and groups; and layers of gates that draw in TRAIN.
TEST(Criterion, WhatIsCutComputesWhatTheGatesLetThrough) {
  for (const Criterion criterion : {Criterion::L1, Criterion::BATCH_NORM}) {
    NetWithWeights net = gated(graph(), criterion, 3);
    CompressOptions options;
    options.threshold = criterion == Criterion::L1 ? 0.6f : -0.3f;
    for (LayerParameter& gate : *net.model.mutable_layer())
      if (gate.type() == "InformationBottleneck")
        gate.mutable_information_bottleneck_param()->set_threshold(*options.threshold);
    const CompressedNet small = compress(net.model, net.weights, options);
    EXPECT_LT(difference_of_outputs(net.model, net.weights, small), 1e-4);
    EXPECT_LT(find_layer(small.model, "a")->convolution_param().num_output(), 5u);
    const auto& grouped = find_layer(small.model, "grouped")->convolution_param();
    EXPECT_EQ(grouped.num_output(), criterion == Criterion::L1 ? 4u : 6u);
    EXPECT_EQ(grouped.group(), 2u);
  }
}

TEST(Criterion, HardConcreteGatesAreCutAsBottlenecksAre) {
  const NetParameter model = net_of(
      input_of({2, 3, 8, 8}) + convolution("conv", "data", 12) + in_place("relu", "ReLU", "conv") +
      layer("gate1", "HardConcrete", "conv") + inner_product("ip1", "gate1", 20) +
      layer("gate2", "HardConcrete", "ip1") + inner_product("ip2", "gate2", 4));
  NetParameter weights = random_weights(model, 5);
  int kept = 0;
  for (LayerParameter& layer : *weights.mutable_layer()) {
    if (layer.type() != "HardConcrete") continue;
    for (float& log_alpha : *layer.mutable_blobs(0)->mutable_data()) {
      log_alpha = 6 * log_alpha - 1;
      kept += log_alpha > std::log(0.1f / 1.1f) ? 1 : 0;
    }
  }
  const CompressedNet small = compress(model, weights, {});
  EXPECT_LT(difference_of_outputs(model, weights, small), 1e-4);
  EXPECT_EQ(find_layer(small.model, "conv")->convolution_param().num_output() +
                find_layer(small.model, "ip1")->inner_product_param().num_output(),
            static_cast<unsigned>(kept));
  EXPECT_LT(kept, 30);
}

NetParameter deploy_of(const NetParameter& model, const Shape& shape) {
  return deploy_net(phase_of(model, TEST), {{"data", shape}});
}

/// Data, losses and phases stay what they were; a residual net's stem has its gate too.
TEST(Criterion, WorksOnPublishedNets) {
  for (const char* folder : {"resnet20_cifar10", "vgg16_cifar10", "mobilenet_v2"}) {
    const NetParameter model =
        without_bottlenecks(read_net_prototxt(model_file(folder, "train_val.prototxt")));
    const Shape shape =
        std::string(folder) == "mobilenet_v2" ? Shape{1, 3, 224, 224} : Shape{1, 3, 32, 32};
    const NetParameter weights = Net(deploy_of(model, shape), NetOptions()).to_proto();
    const NetWithWeights net =
        add_gates(model, weights, {{"data", shape}, {"label", {1}}}, Criterion::L1);
    int producers = 0;
    for (const LayerParameter& layer : model.layer())
      producers += layer.type() == "InnerProduct" ||
                           (layer.type() == "Convolution" && layer.convolution_param().group() == 1)
                       ? 1
                       : 0;
    EXPECT_EQ(gates_of(net.model).size(), producers - 1u) << folder;
    EXPECT_EQ(net.model.layer_size(), model.layer_size() + producers - 1);
  }
}

TEST(Criterion, SaysWhyItCannotWork) {
  const auto error = [](const std::string& prototxt, Criterion criterion) {
    return error_of([&] { gated(prototxt, criterion); });
  };
  EXPECT_THAT(error(plain_chain(), Criterion::BATCH_NORM),
              HasSubstr("no layer that can be cut by the Scale behind a BatchNorm"));
  EXPECT_THAT(error(input_of({2, 3}) + inner_product("ip", "data", 4), Criterion::L1),
              HasSubstr("no layer that can be cut by its filters' magnitude"));
  EXPECT_THAT(error(input_of({2, 3}) + inner_product("ip", "data", 4) +
                        layer("ib", "InformationBottleneck", "ip") + inner_product("out", "ib", 4),
                    Criterion::L1),
              HasSubstr("layer 'ib' (InformationBottleneck) says already what can be cut"));
  EXPECT_EQ(criterion_of("l1"), Criterion::L1);
  EXPECT_EQ(criterion_of("batch_norm"), Criterion::BATCH_NORM);
  EXPECT_THAT(error_of([] { criterion_of("l2"); }), HasSubstr("l1 and batch_norm are"));
}

}  // namespace
}  // namespace vibnet
