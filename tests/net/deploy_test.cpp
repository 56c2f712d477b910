#include "net/deploy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/trained_net.h"

namespace vibnet {
namespace {

using testing::ElementsAre;

std::string layer(const std::string& name, const std::string& type, const std::string& more) {
  return "layer { name: '" + name + "' type: '" + type + "' " + more + " }\n";
}

std::vector<std::string> deployed(const std::string& prototxt) {
  return names_of(deploy_net(net_of(prototxt), {}));
}

TEST(Deploy, BranchesLeadToTheInputsTheyNeed) {
  const std::string net =
      layer("data", "Data", "top: 'data' top: 'label'") + layer("more", "HDF5Data", "top: 'more'") +
      layer("a", "ReLU", "bottom: 'data' top: 'a'") +
      layer("sum", "Eltwise", "bottom: 'a' bottom: 'more' top: 'sum'") +
      layer("loss", "SoftmaxWithLoss", "bottom: 'sum' bottom: 'label' top: 'loss'");
  EXPECT_THAT(deployed_inputs(net_of(net)), ElementsAre("data", "more"));
  EXPECT_THAT(deployed(net), ElementsAre("data", "more", "a", "sum", "prob"));
}

TEST(Deploy, ASoftmaxBehindTheLossIsTheNetsOwn) {
  EXPECT_THAT(
      deployed(layer("data", "Data", "top: 'data' top: 'label'") +
               layer("ip", "InnerProduct", "bottom: 'data' top: 'ip'") +
               layer("loss", "SoftmaxWithLoss", "bottom: 'ip' bottom: 'label' top: 'loss'") +
               layer("prob", "Softmax", "bottom: 'ip' top: 'prob'")),
      ElementsAre("data", "ip", "prob"));
}

TEST(Deploy, WhatOnlyLabelsNeedGoes) {
  const std::string net =
      layer("data", "Data", "top: 'data' top: 'label'") +
      layer("cut", "Slice", "bottom: 'label' top: 'l1' top: 'l2'") +
      layer("scaled", "Power", "bottom: 'l2' top: 'l2'") +
      layer("ip", "InnerProduct", "bottom: 'data' top: 'ip'") +
      layer("loss1", "SoftmaxWithLoss", "bottom: 'ip' bottom: 'l1' top: 'loss1'") +
      layer("loss2", "EuclideanLoss", "bottom: 'ip' bottom: 'l2' top: 'loss2'") +
      layer("both", "Eltwise", "bottom: 'loss1' bottom: 'loss2' top: 'both'") +
      layer("accuracy", "Accuracy", "bottom: 'ip' bottom: 'l1' top: 'accuracy'");
  EXPECT_THAT(deployed_inputs(net_of(net)), ElementsAre("data"));
  EXPECT_THAT(deployed(net), ElementsAre("data", "ip", "prob"));
}

TEST(Deploy, ALossOfTwoFeaturesKeepsBoth) {
  const std::string net =
      layer("pair", "Data", "top: 'pair' top: 'same'") +
      layer("cut", "Slice", "bottom: 'pair' top: 'a' top: 'b'") +
      layer("fa", "InnerProduct", "bottom: 'a' top: 'fa'") +
      layer("fb", "InnerProduct", "bottom: 'b' top: 'fb'") +
      layer("loss", "ContrastiveLoss", "bottom: 'fa' bottom: 'fb' bottom: 'same' top: 'loss'");
  EXPECT_THAT(deployed(net), ElementsAre("pair", "cut", "fa", "fb"));
}

TEST(Deploy, TheScoreOfALossMayStandOnEitherSide) {
  const std::string data = layer("data", "Data", "top: 'data' top: 'target'") +
                           layer("flat", "Flatten", "bottom: 'data' top: 'flat'") +
                           layer("ip", "InnerProduct", "bottom: 'flat' top: 'ip'") +
                           layer("out", "Sigmoid", "bottom: 'ip' top: 'out'");
  const auto with_loss = [&](const std::string& bottoms) {
    return deployed(data + layer("loss", "EuclideanLoss", bottoms + " top: 'loss'"));
  };
  EXPECT_THAT(with_loss("bottom: 'target' bottom: 'out'"),
              ElementsAre("data", "flat", "ip", "out"));
  EXPECT_THAT(with_loss("bottom: 'out' bottom: 'target'"),
              ElementsAre("data", "flat", "ip", "out"));
  EXPECT_THAT(with_loss("bottom: 'flat' bottom: 'out'"), ElementsAre("data", "flat", "ip", "out"));
  EXPECT_THAT(deployed(layer("data", "Data", "top: 'data' top: 'target'") +
                       layer("relu", "ReLU", "bottom: 'data' top: 'y'") +
                       layer("loss", "EuclideanLoss", "bottom: 'target' bottom: 'y'")),
              ElementsAre("data", "relu"));
}

TEST(Deploy, WhatIsWrittenToAFileIsTheOutput) {
  const std::string net = layer("data", "Data", "top: 'data' top: 'label'") +
                          layer("a", "InnerProduct", "bottom: 'data' top: 'a'") +
                          layer("b", "ReLU", "bottom: 'a' top: 'b'") +
                          layer("c", "Sigmoid", "bottom: 'a' top: 'c'");
  const std::string quiet = layer("quiet", "Silence", "bottom: 'b' bottom: 'c'");
  EXPECT_THAT(deployed(net + layer("out", "HDF5Output", "bottom: 'b' bottom: 'label'") + quiet),
              ElementsAre("data", "a", "b", "quiet"));
  EXPECT_THAT(deployed(net + layer("out", "HDF5Output", "bottom: 'b' bottom: 'c'")),
              ElementsAre("data", "a", "b", "c"));
}

TEST(Deploy, SoftmaxIsMadeOnce) {
  const std::string scores = layer("data", "Data", "top: 'data' top: 'label'") +
                             layer("ip", "InnerProduct", "bottom: 'data' top: 'ip'");
  const std::string loss =
      layer("loss", "SoftmaxWithLoss", "bottom: 'ip' bottom: 'label' top: 'loss'");
  EXPECT_THAT(deployed(scores + layer("p", "Softmax", "bottom: 'ip' top: 'p'") + loss),
              ElementsAre("data", "ip", "p"));
  const NetParameter net =
      deploy_net(net_of(scores +
                        layer("loss", "SoftmaxWithLoss",
                              "bottom: 'ip' bottom: 'label' top: 'loss' top: 'p' "
                              "softmax_param { axis: -1 }") +
                        layer("best", "ArgMax", "bottom: 'p' top: 'best'")),
                 {});
  EXPECT_THAT(names_of(net), ElementsAre("data", "ip", "prob", "best"));
  EXPECT_EQ(net.layer(2).top(0), "p");
  EXPECT_EQ(net.layer(2).softmax_param().axis(), -1);
}

TEST(Deploy, InputsKeepTheirShapesUnlessOthersAreGiven) {
  const NetParameter net =
      net_of(layer("in", "Input",
                   "top: 'x' top: 'label' top: 'z' input_param { shape { dim: 1 dim: 2 } "
                   "shape { dim: 1 } shape { dim: 1 dim: 4 } }") +
             layer("join", "Concat", "bottom: 'x' bottom: 'z' top: 'y'") +
             layer("loss", "EuclideanLoss", "bottom: 'y' bottom: 'label' top: 'loss'"));
  const NetParameter deploy = deploy_net(net, {{"z", {7, 5}}});
  const LayerParameter& input = deploy.layer(0);
  EXPECT_THAT(input.top(), ElementsAre("x", "z"));
  EXPECT_THAT(input.input_param().shape(0).dim(), ElementsAre(1, 2));
  EXPECT_THAT(input.input_param().shape(1).dim(), ElementsAre(7, 5));
}

TEST(Deploy, WhatIsSilencedIsNoOutput) {
  const std::string net = layer("data", "Data", "top: 'data' top: 'label'") +
                          layer("quiet", "Silence", "bottom: 'label'") +
                          layer("cut", "Slice", "bottom: 'data' top: 'a' top: 'b'") +
                          layer("side", "ReLU", "bottom: 'data' top: 'side'") +
                          layer("silence", "Silence", "bottom: 'b' bottom: 'side'");
  const NetParameter deploy = deploy_net(net_of(net), {});
  EXPECT_THAT(names_of(deploy), ElementsAre("data", "cut", "silence"));
  EXPECT_THAT(deploy.layer(2).bottom(), ElementsAre("b"));
}

}  // namespace
}  // namespace vibnet
