#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_cases.h"
#include "support/layer_fixture.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

void make_probabilities(LayerFixture* fixture) {
  Blob& bottom = fixture->bottom();
  for (int i = 0; i < bottom.count(); ++i)
    bottom.mutable_cpu_data()[i] = 0.3f + std::fabs(bottom.cpu_data()[i]);
  with_labels(4)(fixture);
}

void make_flags(LayerFixture* fixture) {
  for (int pair = 0; pair < fixture->bottom(2).count(); ++pair)
    fixture->bottom(2).mutable_cpu_data()[pair] = static_cast<float>(pair % 2);
}

[[maybe_unused]] const bool kGradients = add_gradient_cases({
    {"HingeLoss", "type: 'HingeLoss'", {{3, 2, 2}, {3}}, 1, kRanks, with_labels(4)},
    {"HingeLossSquared",
     "type: 'HingeLoss' hinge_loss_param { norm: L2 }",
     {{3, 4}, {3}},
     1,
     kRanks,
     with_labels(4)},
    {"MultinomialLogisticLoss",
     "type: 'MultinomialLogisticLoss'",
     {{3, 2, 2}, {3}},
     1,
     kRanks,
     make_probabilities},
    {"SigmoidCrossEntropyLoss", "type: 'SigmoidCrossEntropyLoss'", {{3, 5}, {3, 5}}, 1, kSmooth},
    {"SigmoidCrossEntropyLossIgnoring",
     "type: 'SigmoidCrossEntropyLoss' loss_param { ignore_label: 0 normalization: VALID }",
     {{3, 5}, {3, 5}},
     1,
     kSmooth},
    {"InfogainLoss",
     "type: 'InfogainLoss'",
     {{3, 4, 2}, {3, 2}, {4, 4}},
     1,
     kSmooth,
     with_labels(4)},
    {"InfogainLossIgnoring",
     "type: 'InfogainLoss' infogain_loss_param { axis: -1 } loss_param { ignore_label: 1 "
     "normalization: BATCH_SIZE }",
     {{3, 2, 4}, {3, 2}, {1, 1, 4, 4}},
     1,
     kSmooth,
     with_labels(4)},
    {"ContrastiveLoss",
     "type: 'ContrastiveLoss' contrastive_loss_param { margin: 3 }",
     {{6, 3}, {6, 3}, {6}},
     1,
     kSmooth,
     make_flags},
    {"ContrastiveLossLegacy",
     "type: 'ContrastiveLoss' contrastive_loss_param { margin: 7 legacy_version: true }",
     {{6, 3, 1, 1}, {6, 3, 1, 1}, {6, 1, 1, 1}},
     1,
     kSmooth,
     make_flags},
});

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"HingeLossLabels", "type: 'HingeLoss'", {{2, 3}, {3}}, "needs 2 labels"},
    {"HingeLossOfNoAxes", "type: 'HingeLoss'", {{}, {1}}, "needs scores, N x classes"},
    {"MultinomialLabels", "type: 'MultinomialLogisticLoss'", {{2, 3, 2}, {4}}, "needs 2 labels"},
    {"SigmoidCrossEntropyTargets",
     "type: 'SigmoidCrossEntropyLoss'",
     {{2, 6}, {3, 4}},
     "needs as many targets as values, and the bottoms are 2x6 (12) and 3x4 (12)"},
    {"EuclideanLossBatches", "type: 'EuclideanLoss'", {{2, 6}, {3, 4}}, "3x4"},
    {"InfogainLossWithoutMatrix",
     "type: 'InfogainLoss'",
     {{2, 3}, {2}},
     "needs a source file or a third bottom"},
    {"InfogainLossFile",
     "type: 'InfogainLoss' infogain_loss_param { source: '/nowhere.binaryproto' }",
     {{2, 3}, {2}},
     "/nowhere.binaryproto"},
    {"InfogainLossMatrix",
     "type: 'InfogainLoss'",
     {{2, 3}, {2}, {3, 2}},
     "the matrix is 3x2 (6), and there are 3 classes"},
    {"InfogainLossLabels", "type: 'InfogainLoss'", {{2, 3}, {3}, {3, 3}}, "needs 2 labels"},
    {"InfogainLossNormalize",
     "type: 'InfogainLoss' loss_param { normalize: true }",
     {{2, 3}, {2}, {3, 3}},
     "takes normalization, not normalize"},
    {"ContrastiveLossPlanes",
     "type: 'ContrastiveLoss'",
     {{2, 3, 2}, {2, 3, 2}, {2}},
     "needs vectors, N x C"},
    {"ContrastiveLossSizes",
     "type: 'ContrastiveLoss'",
     {{2, 6}, {3, 4}, {2}},
     "bottom 1 is 3x4 (12), and bottom 0 is 2x6 (12)"},
    {"ContrastiveLossFlags",
     "type: 'ContrastiveLoss'",
     {{2, 3}, {2, 3}, {3}},
     "needs 2 flags in bottom 2, and has 3"},
});

using Values = std::vector<float>;

struct Bottom {
  Shape shape;
  Values values;
};

/// The first top.
float loss(const std::string& prototxt, const std::vector<Bottom>& bottoms) {
  std::vector<Shape> shapes;
  for (const Bottom& bottom : bottoms) shapes.push_back(bottom.shape);
  LayerFixture fixture(prototxt, shapes);
  for (std::size_t b = 0; b < bottoms.size(); ++b)
    std::copy(bottoms[b].values.begin(), bottoms[b].values.end(),
              fixture.bottom(static_cast<int>(b)).mutable_cpu_data());
  fixture.forward();
  return fixture.top().cpu_data()[0];
}

const float kLog2 = 0.693147f;

TEST(HingeLoss, SumsTheExcessOverTheMargin) {
  const std::vector<Bottom> bottoms = {{{2, 3}, {2, -1, 0.5f, 0, 3, -2}}, {{2}, {0, 1}}};
  EXPECT_FLOAT_EQ(loss("type: 'HingeLoss'", bottoms), (1.5f + 1) / 2);
  EXPECT_FLOAT_EQ(loss("type: 'HingeLoss' hinge_loss_param { norm: L2 }", bottoms),
                  (2.25f + 1) / 2);
}

TEST(MultinomialLogisticLoss, IsTheMeanLogOfTheLabelsProbability) {
  const std::string layer = "type: 'MultinomialLogisticLoss'";
  const Values p = {0.5f, 0.25f, 0.25f, 0.1f, 0.8f, 0.1f};
  EXPECT_NEAR(loss(layer, {{{2, 3}, p}, {{2}, {1, 1}}}), (1.386294f + 0.223144f) / 2, 1e-5f);
  EXPECT_NEAR(loss(layer, {{{1, 2}, {0, 1}}, {{1}, {0}}}), 46.0517f, 1e-4f) << "no less than 1e-20";
}

TEST(LossesOverClasses, RefuseLabelsThatAreNone) {
  for (const std::string type : {"HingeLoss", "MultinomialLogisticLoss", "SoftmaxWithLoss"})
    for (const float label : {-1.0f, 2.0f, NAN})
      EXPECT_NE(error_of([&] {
                  loss("type: '" + type + "'", {{{1, 2}, {0, 1}}, {{1}, {label}}});
                }).find("of row 0 is not one of the classes 0 to 1"),
                std::string::npos)
          << type << " " << label;
}

TEST(SigmoidCrossEntropyLoss, IsDividedByTheBatchUnlessToldElse) {
  const auto value = [](const std::string& loss_param) {
    return loss("type: 'SigmoidCrossEntropyLoss' loss_param { " + loss_param + " }",
                {{{2, 2}, {0, 1.098612f, -1.098612f, 0}}, {{2, 2}, {1, 0, 0, 0.5f}}});
  };
  const float sum = kLog2 + 2 * kLog2 + 0.287682f + kLog2;
  EXPECT_NEAR(value(""), sum / 2, 1e-5f);
  EXPECT_NEAR(value("normalization: BATCH_SIZE"), sum / 2, 1e-5f);
  EXPECT_NEAR(value("normalization: FULL"), sum / 4, 1e-5f);
  EXPECT_NEAR(value("normalization: VALID"), sum / 4, 1e-5f);
  EXPECT_NEAR(value("normalization: NONE"), sum, 1e-5f);
  EXPECT_NEAR(value("normalize: true"), sum / 4, 1e-5f);
  EXPECT_NEAR(value("normalize: false"), sum / 2, 1e-5f);
  EXPECT_NEAR(value("ignore_label: 0"), kLog2 / 2, 1e-5f) << "0.5 counts as 0";
  EXPECT_NEAR(value("ignore_label: 0 normalization: VALID"), kLog2, 1e-5f);
  EXPECT_NEAR(value("ignore_label: 0 normalization: FULL"), kLog2 / 4, 1e-5f);
}

TEST(SigmoidCrossEntropyLoss, HoldsForLargeValues) {
  EXPECT_EQ(loss("type: 'SigmoidCrossEntropyLoss'", {{{1, 2}, {200, -200}}, {{1, 2}, {0, 1}}}),
            400);
}

/// Of two samples' two places with two scores each: 0 and 0, or for the last 0 and log 3.
float softmax_loss(const std::string& parameters) {
  return loss("type: 'SoftmaxWithLoss' " + parameters,
              {{{2, 2, 2}, {0, 0, 0, 0, 0, 0, 0, 1.098612f}}, {{2, 1, 2}, {1, 1, 0, 0}}});
}

TEST(SoftmaxWithLoss, IsDividedByTheValidUnlessToldElse) {
  const float last = 2 * kLog2;  // -log of 1/4
  const float sum = 3 * kLog2 + last;
  const auto with = [](const std::string& loss_param) {
    return softmax_loss("loss_param { " + loss_param + " }");
  };
  EXPECT_NEAR(with(""), sum / 4, 1e-5f);
  EXPECT_NEAR(with("normalization: BATCH_SIZE"), sum / 2, 1e-5f);
  EXPECT_NEAR(with("normalization: NONE"), sum, 1e-5f);
  EXPECT_NEAR(with("normalize: true"), sum / 4, 1e-5f);
  EXPECT_NEAR(with("normalize: false"), sum / 2, 1e-5f);
  EXPECT_NEAR(with("normalize: false normalization: NONE"), sum, 1e-5f);
  EXPECT_NEAR(with("ignore_label: 1"), (kLog2 + last) / 2, 1e-5f);
  EXPECT_NEAR(with("ignore_label: 1 normalization: FULL"), (kLog2 + last) / 4, 1e-5f);
  EXPECT_NEAR(with("ignore_label: 1 normalization: BATCH_SIZE"), (kLog2 + last) / 2, 1e-5f);
}

TEST(SoftmaxWithLoss, TakesTheClassesFromItsAxis) {
  // Along the last axis the places are rows: 0 0, 0 0, 0 0 and 0 log 3.
  EXPECT_NEAR(softmax_loss("softmax_param { axis: -1 }"), 5 * kLog2 / 4, 1e-5f);
}

TEST(SoftmaxWithLoss, IsZeroWithoutAnyLabel) {
  EXPECT_EQ(loss("type: 'SoftmaxWithLoss' loss_param { ignore_label: 1 }",
                 {{{1, 2}, {1, 2}}, {{1}, {1}}}),
            0);
}

TEST(EuclideanLoss, IsHalfTheSquaresOverTheBatch) {
  EXPECT_FLOAT_EQ(loss("type: 'EuclideanLoss'", {{{2, 2}, {1, 2, 3, 4}}, {{2, 2}, {0, 4, 3, 1}}}),
                  (1 + 4 + 9) / 4.0f);
}

/// Of two rows with equal probabilities, labels 1 and 0, and the matrix 1 2, 3 4.
float infogain(const std::string& parameters) {
  return loss("type: 'InfogainLoss' " + parameters,
              {{{2, 2}, {5, 5, 7, 7}}, {{2}, {1, 0}}, {{2, 2}, {1, 2, 3, 4}}});
}

TEST(InfogainLoss, WeighsTheLogarithmsByTheLabelsRow) {
  EXPECT_NEAR(infogain(""), (7 + 3) * kLog2 / 2, 1e-5f);
  EXPECT_NEAR(infogain("loss_param { normalization: NONE }"), 10 * kLog2, 1e-5f);
  EXPECT_NEAR(infogain("loss_param { ignore_label: 0 }"), 7 * kLog2, 1e-5f);
  EXPECT_NEAR(infogain("loss_param { ignore_label: 0 normalization: FULL }"), 3.5f * kLog2, 1e-5f);
  EXPECT_NEAR(infogain("loss_param { ignore_label: 0 normalization: BATCH_SIZE }"), 3.5f * kLog2,
              1e-5f);
  // Classes along axis 0: two rows with -log p of 2.126928 and 0.126928, in one sample.
  EXPECT_NEAR(infogain("infogain_loss_param { axis: 0 } loss_param { normalization: BATCH_SIZE }"),
              (3 * 2.126928f + 4 * 0.126928f) + (2.126928f + 2 * 0.126928f), 1e-5f);
}

TEST(InfogainLoss, ReadsItsMatrixFromAFile) {
  const TemporaryFolder folder;
  BlobProto proto;
  Blob matrix({1, 1, 2, 2});
  for (int i = 0; i < 4; ++i) matrix.mutable_cpu_data()[i] = static_cast<float>(i + 1);
  matrix.to_proto(&proto);
  write_binary(proto, folder / "matrix");
  EXPECT_NEAR(
      loss("type: 'InfogainLoss' infogain_loss_param { source: '" + folder / "matrix" + "' }",
           {{{1, 2}, {5, 5}}, {{1}, {1}}}),
      7 * kLog2, 1e-5f);
}

TEST(InfogainLoss, IsSoftmaxWithLossForAUnitMatrix) {
  const Bottom scores = {{2, 3}, {1, -2, 0.5f, 3, 0, -1}};
  const Bottom labels = {{2}, {2, 0}};
  const Bottom unit = {{3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  EXPECT_FLOAT_EQ(loss("type: 'InfogainLoss'", {scores, labels, unit}),
                  loss("type: 'SoftmaxWithLoss'", {scores, labels}));
}

TEST(LossesWithProbabilities, GiveThemAsASecondTop) {
  for (const std::string type : {"SoftmaxWithLoss", "InfogainLoss"}) {
    std::vector<Shape> bottoms = {{1, 2}, {1}};
    if (type == "InfogainLoss") bottoms.push_back({2, 2});
    LayerFixture fixture("type: '" + type + "'", bottoms, 2);
    fixture.bottom(0).set_data(3);
    fixture.bottom(1).set_data(0);
    fixture.forward();
    EXPECT_EQ(fixture.top(1).shape(), Shape({1, 2}));
    EXPECT_FLOAT_EQ(fixture.top(1).cpu_data()[1], 0.5f);
  }
}

TEST(ContrastiveLoss, DrawsSimilarPairsTogetherAndOthersApart) {
  const auto value = [](const std::string& parameter) {
    return loss(
        "type: 'ContrastiveLoss' contrastive_loss_param { " + parameter + " }",
        {{{3, 2}, {3, 4, 0, 0, 0, 0}}, {{3, 2}, {0, 0, 0.3f, 0.4f, 0, 2}}, {{3}, {1, 0, 0}}});
  };
  EXPECT_FLOAT_EQ(value(""), (25 + 0.25f) / 6);
  EXPECT_FLOAT_EQ(value("margin: 3"), (25 + 6.25f + 1) / 6);
  EXPECT_FLOAT_EQ(value("legacy_version: true"), (25 + 0.75f) / 6);
}

}  // namespace
}  // namespace vibnet
