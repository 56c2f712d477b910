#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/outputs.h"
#include "support/random_weights.h"
#include "support/trained_net.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Kept = std::map<std::string, std::vector<int>>;

std::string layer(const std::string& name, const std::string& type, const std::string& bottoms,
                  const std::string& parameter = "") {
  std::string text = "layer { name: '" + name + "' type: '" + type + "' top: '" + name + "'";
  std::size_t begin = 0;
  while (begin < bottoms.size()) {
    const std::size_t end = std::min(bottoms.find(' ', begin), bottoms.size());
    text += " bottom: '" + bottoms.substr(begin, end - begin) + "'";
    begin = end + 1;
  }
  return text + " " + parameter + " }\n";
}

std::string convolution(const std::string& name, const std::string& bottom, int outputs,
                        const std::string& more = "kernel_size: 3 pad: 1") {
  return layer(name, "Convolution", bottom,
               "convolution_param { num_output: " + std::to_string(outputs) + " " + more + " }");
}

std::string inner_product(const std::string& name, const std::string& bottom, int outputs) {
  return layer(name, "InnerProduct", bottom,
               "inner_product_param { num_output: " + std::to_string(outputs) + " }");
}

std::string bottleneck(const std::string& name, const std::string& bottom) {
  return layer(name, "InformationBottleneck", bottom);
}

/// A net whose bottlenecks keep these units, compressed; checks that it computes the same.
CompressedNet compress_graph(const std::string& layers, const Kept& kept,
                             const CompressOptions& options = {}) {
  const NetParameter model = net_of(input_of({2, 4, 6, 6}) + layers);
  NetParameter weights = random_weights_with_masks(model, 1, {});
  for (const auto& [name, units] : kept) {
    const int size = find_layer(weights, name)->blobs(0).data_size();
    std::vector<bool> keeps(size, false);
    for (const int unit : units) keeps[unit] = true;
    set_bottleneck(name, std::vector<float>(size, 0.8F), keeps, &weights);
  }
  CompressedNet compressed = compress(model, weights, options);
  EXPECT_LE(difference_of_outputs(model, weights, compressed), 1e-4) << layers;
  return compressed;
}

/// The shape of a layer's filters; empty where it is gone.
std::vector<int> filters(const CompressedNet& net, const std::string& name) {
  const LayerParameter* found = find_layer(net.weights, name);
  if (found == nullptr || find_layer(net.model, name) == nullptr) return {};
  const auto& dims = found->blobs(0).shape().dim();
  return {dims.begin(), dims.end()};
}

LayerReport report_of(const CompressedNet& net, const std::string& name) {
  for (const LayerReport& one : net.report.layers)
    if (one.name == name) return one;
  ADD_FAILURE() << "no report of " << name;
  return {};
}

/// Too many for a pick of channels to be worth it.
std::vector<int> all_but(int dead, int units) {
  std::vector<int> kept;
  for (int unit = 0; unit < units; ++unit)
    if (unit != dead) kept.push_back(unit);
  return kept;
}

TEST(CompressGraph, CutsInsideAResidualBranch) {
  const CompressedNet net = compress_graph(
      convolution("stem", "data", 8) + convolution("a", "stem", 8) + layer("relu", "ReLU", "a") +
          bottleneck("ib", "relu") + convolution("b", "ib", 8) + layer("sum", "Eltwise", "stem b") +
          inner_product("fc", "sum", 3),
      {{"ib", {0, 3, 5}}});
  EXPECT_THAT(filters(net, "stem"), ElementsAre(8, 4, 3, 3));
  EXPECT_THAT(filters(net, "a"), ElementsAre(3, 8, 3, 3));
  EXPECT_THAT(filters(net, "b"), ElementsAre(8, 3, 3, 3));
  EXPECT_THAT(report_of(net, "ib").kept, ElementsAre(0, 3, 5));
  EXPECT_EQ(report_of(net, "a").units_before, 8);
  EXPECT_EQ(report_of(net, "a").units_after, 3);
  EXPECT_THAT(net.report.notes, IsEmpty());
}

TEST(CompressGraph, CutsEveryBranchOfASum) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + convolution("b", "data", 6) + layer("sum", "Eltwise", "a b") +
          layer("relu", "ReLU", "sum") + bottleneck("ib", "relu") + convolution("c", "ib", 5) +
          inner_product("fc", "c", 3),
      {{"ib", {1, 4}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(2, 4, 3, 3));
  EXPECT_THAT(filters(net, "b"), ElementsAre(2, 4, 3, 3));
  EXPECT_THAT(filters(net, "c"), ElementsAre(5, 2, 3, 3));
}

TEST(CompressGraph, CutsTheStreamOfSeveralBlocks) {
  std::string text = convolution("block0", "data", 6);
  for (int i = 1; i <= 3; ++i) {
    const std::string in = "block" + std::to_string(i - 1);
    const std::string name = "branch" + std::to_string(i);
    text +=
        convolution(name, in, 6) + layer("block" + std::to_string(i), "Eltwise", in + " " + name);
  }
  const CompressedNet net = compress_graph(
      text + bottleneck("ib", "block3") + inner_product("fc", "ib", 3), {{"ib", {0, 2}}});
  // Each branch reads the whole stream; only the last one's other outputs lead to nothing.
  EXPECT_THAT(filters(net, "branch3"), ElementsAre(2, 6, 3, 3));
  EXPECT_THAT(filters(net, "fc"), ElementsAre(3, 2 * 36));
}

TEST(CompressGraph, DropsABranchThatIsAllDead) {
  const CompressedNet net = compress_graph(
      convolution("stem", "data", 6) + convolution("a", "stem", 6) + bottleneck("ib", "a") +
          layer("sum", "Eltwise", "stem ib") + inner_product("fc", "sum", 3),
      {{"ib", {}}});
  EXPECT_THAT(filters(net, "a"), IsEmpty());
  EXPECT_EQ(find_layer(net.model, "sum"), nullptr);
  EXPECT_THAT(report_of(net, "ib").kept, IsEmpty());
}

TEST(CompressGraph, CutsTheBranchesOfAWeightedSumToo) {
  const CompressedNet net = compress_graph(
      convolution("stem", "data", 6) + convolution("a", "stem", 6) + bottleneck("ib", "a") +
          layer("sum", "Eltwise", "stem ib", "eltwise_param { coeff: -0.5 coeff: 2 }") +
          inner_product("fc", "sum", 3),
      {{"ib", {2}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(1, 6, 3, 3));
  EXPECT_THAT(report_of(net, "ib").kept, ElementsAre(2));
}

TEST(CompressGraph, KeepsWhatOtherBranchesMakeOfADeadChannel) {
  const CompressedNet net =
      compress_graph(convolution("a", "data", 6) + convolution("b", "data", 6) +
                         bottleneck("ib_a", "a") + bottleneck("ib_b", "b") +
                         layer("sum", "Eltwise", "ib_a ib_b") + inner_product("fc", "sum", 3),
                     {{"ib_a", {0, 1, 2}}, {"ib_b", {2, 3}}});
  // Channels 4 and 5 are dead in both.
  EXPECT_THAT(filters(net, "fc"), ElementsAre(3, 4 * 36));
  EXPECT_LE(filters(net, "a")[0], 4);
  EXPECT_LE(filters(net, "b")[0], 4);
  EXPECT_THAT(report_of(net, "ib_a").kept, ElementsAre(0, 1, 2));
  EXPECT_THAT(report_of(net, "ib_b").kept, ElementsAre(2, 3));
}

TEST(CompressGraph, AProductNeedsAllItsFactors) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + convolution("b", "data", 6) + bottleneck("ib", "a") +
          layer("product", "Eltwise", "ib b", "eltwise_param { operation: PROD }") +
          inner_product("fc", "product", 3),
      {{"ib", {1, 2}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(2, 4, 3, 3));
  EXPECT_THAT(filters(net, "b"), ElementsAre(2, 4, 3, 3));
  EXPECT_THAT(filters(net, "fc"), ElementsAre(3, 2 * 36));
}

TEST(CompressGraph, CutsAConcatenationByOffsets) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 3) + convolution("b", "data", 4) + layer("join", "Concat", "a b") +
          bottleneck("ib", "join") + convolution("c", "ib", 5) + inner_product("fc", "c", 3),
      {{"ib", {1, 3, 5, 6}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(1, 4, 3, 3));
  EXPECT_THAT(filters(net, "b"), ElementsAre(3, 4, 3, 3));
  EXPECT_THAT(filters(net, "c"), ElementsAre(5, 4, 3, 3));
}

TEST(CompressGraph, DropsADeadPartOfAConcatenation) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 3) + convolution("b", "data", 4) + layer("join", "Concat", "a b") +
          bottleneck("ib", "join") + convolution("c", "ib", 5) + inner_product("fc", "c", 3),
      {{"ib", {3, 5}}});
  EXPECT_THAT(filters(net, "a"), IsEmpty());
  EXPECT_THAT(filters(net, "b"), ElementsAre(2, 4, 3, 3));
}

TEST(CompressGraph, CutsBothSidesOfASlice) {
  const std::string slice =
      "layer { name: 'slice' type: 'Slice' bottom: 'ib' top: 'left' top: 'right' "
      "slice_param { slice_point: 2 } }\n";
  const CompressedNet net =
      compress_graph(convolution("a", "data", 6) + bottleneck("ib", "a") + slice +
                         convolution("l", "left", 3) + convolution("r", "right", 3) +
                         layer("sum", "Eltwise", "l r") + inner_product("fc", "sum", 3),
                     {{"ib", {0, 2, 5}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(3, 4, 3, 3));
  EXPECT_THAT(filters(net, "l"), ElementsAre(3, 1, 3, 3));
  EXPECT_THAT(filters(net, "r"), ElementsAre(3, 2, 3, 3));
}

TEST(CompressGraph, DropsASliceWhosePiecesAreJoinedAgain) {
  const std::string slice =
      "layer { name: 'slice' type: 'Slice' bottom: 'a' top: 'left' top: 'right' "
      "slice_param { slice_point: 2 } }\n";
  const auto compress_with = [&](const std::string& more) {
    return compress_graph(convolution("a", "data", 6) + slice +
                              layer("join", "Concat", "left right") + bottleneck("ib", "join") +
                              convolution("c", "ib", 5) + more + inner_product("fc", "c", 3),
                          {{"ib", {1, 4}}});
  };
  const CompressedNet net = compress_with("");
  EXPECT_EQ(find_layer(net.model, "slice"), nullptr);
  EXPECT_EQ(find_layer(net.model, "join"), nullptr);
  EXPECT_THAT(filters(net, "c"), ElementsAre(5, 2, 3, 3));
  // Not where another layer reads a piece, too.
  const CompressedNet read = compress_with(inner_product("other", "left", 2));
  EXPECT_NE(find_layer(read.model, "slice"), nullptr);
}

TEST(CompressGraph, CutsDepthwiseConvolutions) {
  for (const std::string more : {"kernel_size: 3 pad: 1 group: 6", "kernel_size: 3 group: 6"}) {
    const CompressedNet net = compress_graph(
        convolution("a", "data", 6) + layer("relu", "ReLU", "a") +
            convolution("dw", "relu", 6, more) + layer("relu2", "ReLU", "dw") +
            bottleneck("ib", "relu2") + convolution("c", "ib", 5) + inner_product("fc", "c", 3),
        {{"ib", {0, 4}}});
    EXPECT_THAT(filters(net, "a"), ElementsAre(2, 4, 3, 3));
    EXPECT_THAT(filters(net, "dw"), ElementsAre(2, 1, 3, 3));
    EXPECT_EQ(find_layer(net.model, "dw")->convolution_param().group(), 2U);
    EXPECT_THAT(filters(net, "c"), ElementsAre(5, 2, 3, 3));
  }
}

TEST(CompressGraph, DropsAGroupThatLeadsToNothing) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + convolution("grouped", "a", 6, "kernel_size: 1 group: 3") +
          bottleneck("ib", "grouped") + convolution("c", "ib", 5) + inner_product("fc", "c", 3),
      {{"ib", {0, 1, 4, 5}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(4, 4, 3, 3));
  EXPECT_THAT(filters(net, "grouped"), ElementsAre(4, 2, 1, 1));
  EXPECT_EQ(find_layer(net.model, "grouped")->convolution_param().group(), 2U);
}

TEST(CompressGraph, SeesThroughShuffledChannels) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) +
          layer("shuffle", "ShuffleChannel", "a", "shuffle_channel_param { group: 2 }") +
          bottleneck("ib", "shuffle") + convolution("c", "ib", 5) + inner_product("fc", "c", 3),
      {{"ib", {0, 1, 2}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(3, 4, 3, 3));
  EXPECT_THAT(filters(net, "c"), ElementsAre(5, 3, 3, 3));
}

TEST(CompressGraph, CutsTwinsWhereBothAreDead) {
  const std::string names = "param { name: 'w' } param { name: 'b' } ";
  const std::string shape = "convolution_param { num_output: 6 kernel_size: 3 pad: 1 }";
  const CompressedNet net = compress_graph(
      layer("other", "TanH", "data") + layer("a", "Convolution", "data", names + shape) +
          layer("b", "Convolution", "other", names + shape) + bottleneck("ib_a", "a") +
          bottleneck("ib_b", "b") + layer("join", "Concat", "ib_a ib_b") +
          inner_product("fc", "join", 3),
      {{"ib_a", {0, 1, 3}}, {"ib_b", {0, 1}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(3, 4, 3, 3));
  EXPECT_THAT(filters(net, "b"), ElementsAre(3, 4, 3, 3));
}

TEST(CompressGraph, ServesSeveralConsumers) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + bottleneck("ib", "a") + convolution("b", "ib", 5) +
          bottleneck("ib2", "a") + convolution("c", "ib2", 5) + layer("sum", "Eltwise", "b c") +
          inner_product("fc", "sum", 3),
      {{"ib", {0, 1}}, {"ib2", {1, 2, 3}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(4, 4, 3, 3));
}

/// Behind a BatchNorm with a shift, what was dead is a constant.
std::string with_constants(const std::string& window) {
  return convolution("a", "data", 6) + bottleneck("ib", "a") + layer("bn", "BatchNorm", "ib") +
         layer("scale", "Scale", "bn", "scale_param { bias_term: true }") +
         layer("relu", "ReLU", "scale") + convolution("b", "relu", 5, window) +
         inner_product("fc", "b", 3);
}

TEST(CompressGraph, FoldsConstantsIntoTheConsumersBias) {
  const CompressedNet net = compress_graph(with_constants("kernel_size: 3"), {{"ib", {1, 2}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(2, 4, 3, 3));
  EXPECT_THAT(filters(net, "scale"), ElementsAre(2));
  EXPECT_THAT(filters(net, "b"), ElementsAre(5, 2, 3, 3));
}

TEST(CompressGraph, KeepsConstantsWherePaddingShowsThem) {
  const CompressedNet net =
      compress_graph(with_constants("kernel_size: 3 pad: 1"), {{"ib", {1, 2}}});
  EXPECT_GT(filters(net, "b")[1], 2);
  EXPECT_THAT(net.report.notes, Not(IsEmpty()));
}

TEST(CompressGraph, GivesABiasToAConsumerThatHasNone) {
  const CompressedNet net =
      compress_graph(with_constants("kernel_size: 3 bias_term: false"), {{"ib", {1, 2}}});
  EXPECT_THAT(filters(net, "b"), ElementsAre(5, 2, 3, 3));
}

TEST(CompressGraph, FoldsBatchNormForDeployment) {
  CompressOptions options;
  options.fold_batchnorm = true;
  const std::string normalized = layer("bn", "BatchNorm", "a") +
                                 layer("scale", "Scale", "bn", "scale_param { bias_term: true }") +
                                 layer("relu", "ReLU", "scale");
  const CompressedNet behind =
      compress_graph(convolution("a", "data", 6, "kernel_size: 3 bias_term: false") + normalized +
                         bottleneck("ib", "relu") + inner_product("fc", "ib", 3),
                     {{"ib", {1, 2}}}, options);
  EXPECT_THAT(names_of(behind.deploy), ElementsAre("data", "a", "relu", "fc"));

  const CompressedNet before = compress_graph(
      layer("a", "ReLU", "data") + bottleneck("ib", "a") + layer("bn", "BatchNorm", "ib") +
          layer("scale", "Scale", "bn", "scale_param { bias_term: true }") +
          convolution("b", "scale", 4, "kernel_size: 3") + inner_product("fc", "b", 3),
      {{"ib", {0, 1, 3}}}, options);
  EXPECT_EQ(find_layer(before.deploy, "bn"), nullptr);
  EXPECT_EQ(find_layer(before.deploy, "scale"), nullptr);
}

TEST(CompressGraph, RemovesWhatOnlyDeadUnitsUse) {
  // Back to the input: b's dead units are all that reads a's unit 0 and 1, through a group.
  const CompressedNet net = compress_graph(
      convolution("stem", "data", 4, "kernel_size: 1 group: 2") +
          convolution("a", "stem", 4, "kernel_size: 3 group: 2") + layer("relu", "ReLU", "a") +
          bottleneck("ib", "relu") + inner_product("fc", "ib", 3),
      {{"ib", {2, 3}}});
  EXPECT_THAT(filters(net, "stem")[0], 2);
  EXPECT_THAT(filters(net, "a")[0], 2);
}

TEST(CompressGraph, NamesItsWalls) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + bottleneck("ib", "a") +
          layer("turn", "Permute", "ib", "permute_param { order: 0 order: 2 order: 3 order: 1 }") +
          inner_product("fc", "turn", 3),
      {{"ib", {1, 2}}});
  EXPECT_THAT(net.report.notes, Contains(HasSubstr("turn")));
  EXPECT_THAT(report_of(net, "ib").kept, ElementsAre(1, 2));
  EXPECT_THAT(filters(net, "fc"), ElementsAre(3, 6 * 36));
}

TEST(CompressGraph, KeepsAnOutputsChannels) {
  const CompressedNet net =
      compress_graph(convolution("a", "data", 6) + bottleneck("ib", "a"), {{"ib", {1, 2}}});
  EXPECT_EQ(find_layer(net.model, "a")->convolution_param().num_output(), 6U);
  EXPECT_THAT(report_of(net, "ib").kept, ElementsAre(1, 2));
}

TEST(CompressGraph, ReportsWhatSeveralBottlenecksLeave) {
  const CompressedNet net =
      compress_graph(convolution("a", "data", 6) + bottleneck("ib", "a") + bottleneck("ib2", "ib") +
                         inner_product("fc", "ib2", 3),
                     {{"ib", {0, 1, 2, 3}}, {"ib2", {2, 3, 4}}});
  EXPECT_THAT(report_of(net, "ib").kept, ElementsAre(2, 3));
  EXPECT_THAT(report_of(net, "ib2").kept, ElementsAre(2, 3));
  EXPECT_THAT(filters(net, "a"), ElementsAre(2, 4, 3, 3));
}

TEST(CompressGraph, OverwritesNoViewOfWhatOthersRead) {
  // Without ib, the ReLU must not work in place on the Flatten, which lies in a's memory.
  const std::string relu = "layer { name: 'relu' type: 'ReLU' bottom: 'ib' top: 'ib' }";
  const CompressedNet net = compress_graph(
      convolution("a", "data", 4) + layer("flat", "Flatten", "a") + bottleneck("ib", "flat") +
          relu + inner_product("fc1", "ib", 3) + convolution("b", "a", 4) +
          inner_product("fc2", "b", 3) + layer("sum", "Eltwise", "fc1 fc2"),
      {{"ib", all_but(7, 144)}});
  EXPECT_EQ(find_layer(net.model, "ib"), nullptr);
}

TEST(CompressGraph, TellsChannelsOfOneNumberApart) {
  // Channel 4 of x, and channel 4 of its pieces joined the other way round, which is 7 of x.
  const std::string slice =
      "layer { name: 'slice' type: 'Slice' bottom: 'x' top: 'left' top: 'right' "
      "slice_param { slice_point: 3 } }\n";
  compress_graph(
      convolution("a", "data", 8) + bottleneck("x", "a") + layer("bn", "BatchNorm", "x") + slice +
          bottleneck("ib_right", "right") + layer("join", "Concat", "ib_right left") +
          bottleneck("ib_join", "join") + bottleneck("ib_x", "x") +
          layer("sum", "Eltwise", "ib_x ib_join", "eltwise_param { coeff: -0.3 coeff: 1 }") +
          inner_product("fc", "sum", 3) + inner_product("all", "bn", 3),
      {{"x", {4, 7}}, {"ib_right", {4}}, {"ib_join", {4}}, {"ib_x", {4}}});
}

TEST(CompressGraph, KeepsALayerForTrainingFromOtherReaders) {
  // Without ib the Dropout would work in place on what b reads too.
  const std::string dropout =
      "layer { name: 'drop' type: 'Dropout' bottom: 'ib' top: 'ib' include { phase: TRAIN } }";
  const CompressedNet net = compress_graph(
      convolution("a", "data", 16) + bottleneck("ib", "a") + dropout + convolution("c", "ib", 4) +
          convolution("b", "a", 4) + layer("sum", "Eltwise", "b c") + inner_product("fc", "sum", 3),
      {{"ib", all_but(7, 16)}});
  NetOptions training;
  training.phase = TRAIN;
  Net trained(net.model, training);
  EXPECT_NE(trained.layer("drop"), nullptr);
  EXPECT_NE(find_layer(net.model, "b")->bottom(0), find_layer(net.model, "drop")->top(0));
  EXPECT_EQ(Net(net.model, NetOptions()).layer("drop"), nullptr);
}

/// The weights that the TRAIN phase has, all units of its gates living but the first.
NetParameter weights_of_training(const NetParameter& model) {
  NetOptions training;
  training.phase = TRAIN;
  NetParameter weights = Net(model, training).to_proto();
  std::vector<std::string> gates;
  for (const LayerParameter& one : weights.layer())
    if (one.type() == "InformationBottleneck") gates.push_back(one.name());
  for (const std::string& gate : gates) {
    const int size = find_layer(weights, gate)->blobs(0).data_size();
    std::vector<bool> kept(size, true);
    kept[0] = false;
    set_bottleneck(gate, std::vector<float>(size, 0.7F), kept, &weights);
  }
  return weights;
}

TEST(CompressGraph, FoldsNothingIntoWhatOnePhaseLeavesOut) {
  const std::string filler = " weight_filler { type: 'msra' }";
  const std::string begin = input_of({2, 4, 6, 6}) +
                            convolution("a", "data", 6, "kernel_size: 3" + filler) +
                            bottleneck("g", "a");
  const std::string end =
      layer("po", "Pooling", "mid", "pooling_param { kernel_size: 4 }") +
      layer("fc", "InnerProduct", "po", "inner_product_param { num_output: 3" + filler + " }");
  const std::string train = "include { phase: TRAIN }";
  for (const std::string& middle :
       {"layer { name: 'gm' type: 'InformationBottleneck' bottom: 'g' top: 'mid' " + train +
            " } layer { name: 'gt' type: 'Split' bottom: 'g' top: 'mid' include { phase: TEST } }",
        "layer { name: 'in' type: 'Scale' bottom: 'g' top: 'g' scale_param { filler { value: 3 } "
        "} " +
            train + " } layer { name: 'r' type: 'ReLU' bottom: 'g' top: 'mid' }"}) {
    const NetParameter model = net_of(begin + middle + end);
    const NetParameter weights = weights_of_training(model);
    for (const bool folds : {false, true}) {
      CompressOptions options;
      options.fold_batchnorm = folds;
      const CompressedNet net = compress(model, weights, options);
      EXPECT_LE(difference_of_outputs(model, weights, net), 1e-4) << middle;
    }
  }
}

TEST(CompressGraph, ChecksTheLayersThatOnlyTrainingHas) {
  const NetParameter sound = net_of(input_of({2, 4, 6, 6}) + convolution("a", "data", 6) +
                                    bottleneck("g", "a") + inner_product("fc", "g", 3));
  NetParameter model = sound;
  *model.add_layer() = net_of(layer("cut", "Crop", "g", "include { phase: TRAIN }")).layer(0);
  EXPECT_THAT(error_of([&] { compress(model, weights_of_training(sound), {}); }),
              HasSubstr("layer 'cut' (Crop): needs 2 bottom(s), and 1 given"));
}

TEST(CompressGraph, CutsAWhollyDeadHeadOfTraining) {
  const std::string filler = " weight_filler { type: 'msra' }";
  const std::string train = "include { phase: TRAIN }";
  const NetParameter model = net_of(
      input_of({2, 4, 6, 6}) + convolution("a", "data", 6, "kernel_size: 3" + filler) +
      bottleneck("g", "a") +
      layer("aux", "InnerProduct", "g",
            "inner_product_param { num_output: 5" + filler + " } " + train) +
      layer("dead", "InformationBottleneck", "aux", train) +
      layer("out", "InnerProduct", "dead",
            "inner_product_param { num_output: 2" + filler + " } " + train) +
      layer("fc", "InnerProduct", "g", "inner_product_param { num_output: 3" + filler + " }"));
  NetParameter weights = weights_of_training(model);
  set_bottleneck("dead", std::vector<float>(5, 1), std::vector<bool>(5, false), &weights);
  const CompressedNet net = compress(model, weights, {});
  EXPECT_LE(difference_of_outputs(model, weights, net), 1e-4);
  EXPECT_THAT(filters(net, "aux"), ElementsAre(1, 16)) << "a place that a constant needs";
}

TEST(CompressGraph, CutsWeightsSharedWithoutTheirBias) {
  const std::string shared = " param { name: 'w' } ";
  const CompressedNet net =
      compress_graph(convolution("a", "data", 6) + convolution("b", "data", 6) +
                         layer("ca", "Convolution", "a",
                               shared + "convolution_param { num_output: 8 kernel_size: 1 }") +
                         layer("cb", "Convolution", "b",
                               shared + "convolution_param { num_output: 8 kernel_size: 1 }") +
                         bottleneck("ia", "ca") + bottleneck("ib", "cb") +
                         convolution("da", "ia", 2) + convolution("db", "ib", 2),
                     {{"ia", {0, 1}}, {"ib", {1, 2, 3}}});
  EXPECT_THAT(filters(net, "ca"), ElementsAre(4, 6, 1, 1));
  EXPECT_THAT(filters(net, "cb"), ElementsAre(4, 6, 1, 1));
}

TEST(CompressGraph, CutsHeadsForTrainingToo) {
  const std::string train = "include { phase: TRAIN } ";
  const std::string filler = "weight_filler { type: 'xavier' }";
  const std::string target =
      "layer { name: 'target' type: 'Input' top: 'target' input_param { shape { dim: 2 dim: 3 } } "
      "}";
  const NetParameter model = net_of(
      input_of({2, 4, 6, 6}) + target + convolution("a", "data", 6, "kernel_size: 3 " + filler) +
      bottleneck("ib", "a") +
      layer("aux", "InnerProduct", "ib",
            train + "inner_product_param { num_output: 3 " + filler + " }") +
      layer("aux_loss", "EuclideanLoss", "aux target", train) +
      layer("fc", "InnerProduct", "ib", "inner_product_param { num_output: 3 " + filler + " }") +
      layer("loss", "EuclideanLoss", "fc target"));
  NetOptions training;
  training.phase = TRAIN;
  NetParameter weights = Net(model, training).to_proto();
  set_bottleneck("ib", std::vector<float>(6, 1), {true, false, true, true, false, false}, &weights);
  const CompressedNet net = compress(model, weights, {});
  EXPECT_THAT(filters(net, "a"), ElementsAre(3, 4, 3, 3));
  EXPECT_THAT(filters(net, "aux"), ElementsAre(3, 3 * 16));
  EXPECT_THAT(filters(net, "fc"), ElementsAre(3, 3 * 16));
  Net trained(net.model, training);
  EXPECT_NO_THROW(trained.copy_weights(net.weights, "weights", Missing::FAIL));
  EXPECT_THAT(names_of(net.deploy), ElementsAre("data", "a", "fc"));
}

}  // namespace
}  // namespace vibnet
