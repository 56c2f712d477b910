#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/cut_graph.h"
#include "support/error_of.h"
#include "support/outputs.h"
#include "support/random_weights.h"
#include "support/trained_net.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"

// Nets of which a layer is in TRAIN alone: one caffemodel serves both phases.

namespace vibnet {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(CompressPhases, KeepsALayerForTrainingFromOtherReaders) {
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

/// Compares what TEST and what TRAIN computes.
CompressedNet compress_for_both_phases(const NetParameter& model, const NetParameter& weights,
                                       bool folds) {
  CompressOptions options;
  options.fold_batchnorm = folds;
  const CompressedNet net = compress(model, weights, options);
  EXPECT_LE(difference_of_outputs(model, weights, net), 1e-4) << model.DebugString();
  EXPECT_LE(difference_in_training(model, weights, net), 1e-4) << model.DebugString();
  return net;
}

TEST(CompressPhases, FoldsNothingIntoWhatOnePhaseLeavesOut) {
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
    for (const bool folds : {false, true}) compress_for_both_phases(model, weights, folds);
  }
}

TEST(CompressPhases, PutsNothingInPlaceOnAnInputThatTrainingCouldNot) {
  const CompressedNet net = compress_graph(
      bottleneck("g", "data") + in_place("gScale", "Scale", "g") + in_place("gELU", "ELU", "g") +
          bottleneck("h", "g") + in_place("hReLU", "ReLU", "h") + inner_product("fc", "h", 3),
      {{"g", {0, 1, 2, 3}}, {"h", {0, 1, 2, 3}}});
  EXPECT_THAT(names_of(net.deploy), ElementsAre("data", "gScale", "gELU", "hReLU", "fc"));
  NetOptions training;
  training.phase = TRAIN;
  EXPECT_NO_THROW(Net(net.model, training));
}

TEST(CompressPhases, ChecksTheLayersThatOnlyTrainingHas) {
  const NetParameter sound = net_of(input_of({2, 4, 6, 6}) + convolution("a", "data", 6) +
                                    bottleneck("g", "a") + inner_product("fc", "g", 3));
  NetParameter model = sound;
  *model.add_layer() = net_of(layer("cut", "Crop", "g", "include { phase: TRAIN }")).layer(0);
  EXPECT_THAT(error_of([&] { compress(model, weights_of_training(sound), {}); }),
              HasSubstr("layer 'cut' (Crop): needs 2 bottom(s), and 1 given"));
}

TEST(CompressPhases, CutsAWhollyDeadHeadOfTraining) {
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
  EXPECT_LE(difference_in_training(model, weights, net), 1e-4);
  EXPECT_THAT(filters(net, "aux"), ElementsAre(1, 16)) << "a place that a constant needs";
}

TEST(CompressPhases, CutsHeadsForTrainingToo) {
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

/// Sums what the gate lets through, as a penalty of training does.
std::string penalty(const std::string& operation) {
  return "layer { name: 'penalty' type: 'Reduction' bottom: 'ib' top: 'penalty' loss_weight: 0.1 "
         "include { phase: TRAIN } reduction_param { operation: " +
         operation + " } }";
}

TEST(CompressPhases, LeavesZerosOutOfASumOfTraining) {
  NetOptions training;
  training.phase = TRAIN;
  for (const std::string operation : {"SUM", "ASUM", "SUMSQ", "MEAN"}) {
    const CompressedNet net = compress_graph(convolution("a", "data", 6) + bottleneck("ib", "a") +
                                                 penalty(operation) + inner_product("fc", "ib", 3),
                                             {{"ib", {1, 4}}});
    EXPECT_THAT(filters(net, "a"), ElementsAre(2, 4, 3, 3));
    EXPECT_THAT(names_of(net.deploy), ElementsAre("data", "a", "fc"));
    EXPECT_THAT(net.report.notes, IsEmpty());
    EXPECT_EQ(Net(net.model, training).blob("a")->shape(1), 2);
  }
}

TEST(CompressPhases, KeepsAMeanThatOfAllChannels) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + bottleneck("ib", "a") +
          layer("mean", "Reduction", "ib", "reduction_param { operation: MEAN axis: 1 coeff: 3 }") +
          layer("all", "Reduction", "ib", "reduction_param { operation: MEAN }"),
      {{"ib", {1, 4, 5}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(3, 4, 3, 3));
}

TEST(CompressPhases, NamesTheWallsThatOnlyTrainingHas) {
  const CompressedNet net =
      compress_graph(convolution("a", "data", 6) + bottleneck("ib", "a") +
                         layer("penalty", "Softmax", "ib", "include { phase: TRAIN }") +
                         inner_product("fc", "ib", 3),
                     {{"ib", {1, 4}}});
  EXPECT_THAT(filters(net, "a"), ElementsAre(6, 4, 3, 3));
  EXPECT_THAT(net.report.notes,
              ElementsAre(AllOf(HasSubstr("layer 'penalty' (Softmax) keeps 4 dead channel(s)"),
                                HasSubstr("cut a prototxt without it for deployment"))));
}

TEST(CompressPhases, KeepsWhatALossWeightAddsUp) {
  const std::string weighed = "loss_weight: 0.1 ";
  for (const std::string more : {"", "include { phase: TRAIN }"})
    for (const std::string type : {"ReLU", "Reduction"}) {
      const std::string axis = type == "ReLU" ? "" : "reduction_param { axis: 2 }";
      const CompressedNet net = compress_graph(
          convolution("a", "data", 6) + bottleneck("ib", "a") +
              layer("penalty", type, "ib", weighed + more + axis) + inner_product("fc", "ib", 3),
          {{"ib", {1, 4}}});
      EXPECT_THAT(filters(net, "a"), ElementsAre(6, 4, 3, 3));
      EXPECT_THAT(net.report.notes,
                  Contains(HasSubstr("layer 'penalty' (" + type + ") keeps 4 dead channel(s)")));
    }
  const CompressedNet read =
      compress_graph(convolution("a", "data", 6) + layer("relu", "ReLU", "a", weighed) +
                         bottleneck("ib", "relu") + inner_product("fc", "ib", 3),
                     {{"ib", {1, 4}}});
  EXPECT_THAT(filters(read, "a"), ElementsAre(6, 4, 3, 3));
}

TEST(CompressPhases, KeepsWhatALossWeightAddsUpThoughItsReadersAreDead) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + convolution("b", "data", 6) +
          layer("weighed", "AbsVal", "b", "loss_weight: 0.1") + bottleneck("dead", "weighed") +
          layer("sum", "Eltwise", "a dead") + inner_product("fc", "sum", 3),
      {{"dead", {}}});
  EXPECT_NE(find_layer(net.model, "weighed"), nullptr);
  EXPECT_EQ(find_layer(net.model, "dead"), nullptr);
  EXPECT_THAT(names_of(net.deploy), ElementsAre("data", "a", "fc"));
}

TEST(CompressPhases, PutsNothingInPlaceOnWhatALossWeightAddsUp) {
  const std::string relu = "layer { name: 'relu' type: 'ReLU' bottom: 'g' top: 'g' }";
  compress_graph(convolution("a", "data", 6) + layer("weighed", "AbsVal", "a", "loss_weight: 0.1") +
                     bottleneck("g", "weighed") + relu + inner_product("fc", "g", 3),
                 {{"g", {0, 1, 2, 3, 4, 5}}});
}

TEST(CompressPhases, MakesNoOutputOfWhatTrainingAloneReads) {
  // The branch is dead, and a penalty stands before its gate.
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + convolution("ib", "a", 6) +
          layer("penalty", "Reduction", "ib", "loss_weight: 0.1 include { phase: TRAIN }") +
          bottleneck("dead", "ib") + layer("sum", "Eltwise", "a dead") +
          inner_product("fc", "sum", 3),
      {{"dead", {}}});
  EXPECT_THAT(names_of(net.deploy), ElementsAre("data", "a", "fc"));
  NetOptions training;
  training.phase = TRAIN;
  EXPECT_NE(Net(net.model, training).layer("penalty"), nullptr);
}

TEST(CompressPhases, KeepsAnOutputOfTestThatTrainingAddsUp) {
  const CompressedNet net = compress_graph(
      convolution("a", "data", 6) + convolution("b", "data", 6) + bottleneck("g", "b") +
          layer("ib", "ReLU", "g") + penalty("ASUM") + inner_product("fc", "a", 3),
      {{"g", {1, 4}}});
  EXPECT_THAT(filters(net, "b"), ElementsAre(6, 4, 3, 3));
}

/// Two branches, whose units compression takes in another order, joined and read by `reader`.
NetParameter joined_branches(const std::string& reader) {
  const std::string filler = " weight_filler { type: 'msra' }";
  const std::string first = convolution("a", "data", 6, "kernel_size: 3" + filler);
  const std::string second = convolution("b", "data", 6, "kernel_size: 3" + filler);
  return net_of(input_of({2, 4, 6, 6}) + first + bottleneck("ga", "a") + second +
                bottleneck("gb", "b") + layer("sum", "Eltwise", "ga gb") +
                layer("mixed", "ShuffleChannel", "sum", "shuffle_channel_param { group: 2 }") +
                layer("halves", "Scale", "mixed") + reader);
}

TEST(CompressPhases, LeavesAnOutputOfTestThatTrainingReadsAsItIs) {
  const std::string train = " include { phase: TRAIN }";
  const std::string filler = " weight_filler { type: 'msra' }";
  const std::string product = layer("fc", "InnerProduct", "halves",
                                    "inner_product_param { num_output: 3" + filler + " }" + train);
  const std::string relu = layer("relu", "ReLU", "halves", train);
  const std::string gate = layer("gate", "InformationBottleneck", "halves", train);
  for (const std::string& reader : {product, relu, gate}) {
    const NetParameter model = joined_branches(reader);
    NetParameter weights = weights_of_training(model);
    set_bottleneck("ga", std::vector<float>(6, 1), {true, false, true, false, false, false},
                   &weights);
    set_bottleneck("gb", std::vector<float>(6, 1), {false, true, false, false, false, false},
                   &weights);
    for (const bool folds : {false, true}) {
      const CompressedNet net = compress_for_both_phases(model, weights, folds);
      EXPECT_THAT(filters(net, "a"), ElementsAre(5, 4, 3, 3)) << "with what is 0 in both";
      EXPECT_THAT(filters(net, "b"), ElementsAre(1, 4, 3, 3));
    }
  }
}

constexpr char kTrain[] = " include { phase: TRAIN }";
constexpr char kTest[] = " include { phase: TEST }";

std::string filters_of(const std::string& name, const std::string& bottom,
                       const std::string& more = "") {
  return layer(name, "Convolution", bottom,
               "convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "
               "'msra' } }" +
                   more);
}

std::string scores_of(const std::string& name, const std::string& bottom,
                      const std::string& more = "") {
  return layer(name, "InnerProduct", bottom,
               "inner_product_param { num_output: 3 weight_filler { type: 'msra' } }" + more);
}

/// Has both phases load the result.
CompressedNet compress_of_phases(const std::string& layers, const Kept& kept) {
  const NetParameter model = net_of(input_of({2, 4, 6, 6}) + layers);
  NetParameter weights = weights_of_training(model);
  keep_units(kept, &weights);
  const CompressedNet net = compress_for_both_phases(model, weights, false);
  NetOptions training;
  training.phase = TRAIN;
  Net(net.model, training).copy_weights(net.weights, "weights", Missing::FAIL);
  return net;
}

std::string gated(const std::string& name, const std::string& bottom,
                  const std::string& more = "") {
  return filters_of(name, bottom, more) + layer("g" + name, "InformationBottleneck", name, more);
}

TEST(CompressPhases, KeepsTheOrderOfWhatTwoLayersMakeInTwoPhases) {
  const std::string sum =
      gated("a", "data") + gated("b", "data") + layer("sum", "Eltwise", "ga gb");
  const auto both = [](const std::string& name, const std::string& type, const std::string& more) {
    return "layer { name: '" + name + "' type: '" + type + "' bottom: 'sum' top: 'd'" + more + " }";
  };
  for (const std::string& pair : {both("drop", "TanH", kTrain) + both("pass", "AbsVal", kTest),
                                  both("pass", "AbsVal", kTest) + both("drop", "TanH", kTrain)})
    compress_of_phases(sum + pair + scores_of("fc", "d"), {{"ga", {0, 2}}, {"gb", {1}}});
}

TEST(CompressPhases, MakesNoOutputOfTestOfWhatTrainingHasInPlace) {
  const std::string head = gated("x", "ga", kTrain) + gated("z", "ga", kTrain) +
                           layer("sx", "Eltwise", "gx gz", kTrain) +
                           in_place("relu", "ReLU", "sx", kTrain) + scores_of("fx", "sx", kTrain);
  const CompressedNet net = compress_of_phases(gated("a", "data") + head + scores_of("fc", "ga"),
                                               {{"ga", {0, 1, 2, 3}}, {"gx", {0, 3}}, {"gz", {1}}});
  EXPECT_THAT(filters(net, "x"), ElementsAre(2, 4, 3, 3));
  const CompressedNet without_branch = compress_of_phases(
      gated("a", "data") + head + scores_of("fc", "ga"), {{"gx", {}}, {"gz", {1}}});
  EXPECT_THAT(Net(without_branch.model, NetOptions()).output_names(), ElementsAre("fc"));
  const CompressedNet dropped = compress_of_phases(
      gated("a", "data") +
          layer("ft", "Pooling", "ga",
                "pooling_param { global_pooling: true }" + std::string(kTest)) +
          in_place("drop", "Power", "ga", std::string(kTrain) + " power_param { scale: 3 }") +
          scores_of("fx", "ga", kTrain),
      {{"ga", {0, 3}}});
  EXPECT_THAT(Net(dropped.model, NetOptions()).output_names(), ElementsAre("ft"));
}

TEST(CompressPhases, SilencesInThePhaseThatHasTheBlob) {
  const std::string weighed =
      layer("w", "AbsVal", "b", std::string("loss_weight: 0.1") + kTrain) +
      layer("gw", "InformationBottleneck", "w", kTrain) + filters_of("c", "ga", kTrain) +
      layer("sum", "Eltwise", "c gw", kTrain) + scores_of("fx", "sum", kTrain);
  const CompressedNet head = compress_of_phases(
      gated("a", "data") + filters_of("b", "ga", kTrain) + weighed + scores_of("fc", "ga"),
      {{"ga", {0, 1, 2, 3}}, {"gw", {}}});
  EXPECT_NE(find_layer(head.model, "w"), nullptr);
  const CompressedNet net = compress_of_phases(
      gated("a", "data") + scores_of("fc", "ga") + layer("drop", "Dropout", "fc", kTrain) +
          "layer { name: 'silence' type: 'Silence' bottom: 'drop' include { phase: TRAIN } }",
      {{"ga", {0, 3}}});
  EXPECT_THAT(Net(net.model, NetOptions()).output_names(), ElementsAre("fc"));
}

TEST(CompressPhases, KeepsTheNameOfScores) {
  const std::string target =
      "layer { name: 't' type: 'Input' top: 't' input_param { shape { dim: 2 dim: 6 dim: 6 dim: 6 "
      "} } }";
  const CompressedNet net = compress_of_phases(target + gated("a", "data") + gated("b", "data") +
                                                   layer("sum", "Eltwise", "ga gb") +
                                                   layer("loss", "EuclideanLoss", "sum t"),
                                               {{"ga", {0, 3}}, {"gb", {1}}});
  EXPECT_THAT(Net(net.deploy, NetOptions()).output_names(), ElementsAre("sum"));
}

TEST(CompressPhases, SeesThatATotalOfZerosIsConstant) {
  const std::string begin = convolution("a", "data", 6) + bottleneck("ib", "a");
  const std::string total = layer("total", "Reduction", "ib", "reduction_param { axis: 1 }");
  EXPECT_THAT(error_of([&] {
                compress_graph(begin + total, {{"ib", {}}});
              }),
              HasSubstr("'ib' would lose every unit"));
  const CompressedNet net =
      compress_graph(begin + total + inner_product("fc", "a", 3), {{"ib", {}}});
  EXPECT_THAT(net.report.notes, Contains(HasSubstr("output 'total' is the same for every input")));
}

}  // namespace
}  // namespace vibnet
