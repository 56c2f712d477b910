#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/cut_graph.h"
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

}  // namespace
}  // namespace vibnet
