#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using testing::ElementsAre;

/// Three rows of three scores: the label's score is the largest, the second, and tied for largest.
const std::vector<float> kScores = {0, 5, 1, 4, 3, 0, 2, 2, 1};
const std::vector<float> kLabels = {1, 1, 0};

std::vector<float> accuracy(const std::string& parameter, int tops = 1,
                            const std::vector<float>& labels = kLabels) {
  LayerFixture fixture("type: 'Accuracy' accuracy_param { " + parameter + " }", {{3, 3}, {3}},
                       tops);
  std::copy(kScores.begin(), kScores.end(), fixture.bottom(0).mutable_cpu_data());
  std::copy(labels.begin(), labels.end(), fixture.bottom(1).mutable_cpu_data());
  fixture.forward();
  const Blob& top = fixture.top(tops - 1);
  return {top.cpu_data(), top.cpu_data() + top.count()};
}

TEST(Accuracy, CountsLabelsAmongTheLargest) {
  EXPECT_THAT(accuracy(""), ElementsAre(1.0f / 3)) << "a tie counts against the label";
  EXPECT_THAT(accuracy("top_k: 2"), ElementsAre(1));
}

TEST(Accuracy, LeavesIgnoredLabelsOut) {
  EXPECT_THAT(accuracy("ignore_label: 0"), ElementsAre(0.5f));
  EXPECT_THAT(accuracy("ignore_label: 1"), ElementsAre(0));
  EXPECT_THAT(accuracy("ignore_label: 1", 1, {1, 1, 1}), ElementsAre(0)) << "none is left";
  EXPECT_THAT(accuracy("ignore_label: 0", 2), ElementsAre(0, 0.5f, 0));
  EXPECT_THAT(accuracy("ignore_label: 0", 1, {1, 0.5f, 0.9f}), ElementsAre(1))
      << "as whole numbers";
}

TEST(Accuracy, SharesPerClass) {
  EXPECT_THAT(accuracy("", 2), ElementsAre(0, 0.5f, 0));
  EXPECT_THAT(accuracy("top_k: 2", 2), ElementsAre(1, 1, 0));
}

TEST(Accuracy, TakesTheClassesFromItsAxis) {
  LayerFixture fixture("type: 'Accuracy' accuracy_param { axis: -2 }", {{1, 3, 3}, {1, 3}});
  std::copy(kScores.begin(), kScores.end(), fixture.bottom(0).mutable_cpu_data());
  const std::vector<float> labels = {1, 0, 2};  // of the columns 0 4 2, 5 3 2 and 1 0 1
  std::copy(labels.begin(), labels.end(), fixture.bottom(1).mutable_cpu_data());
  fixture.forward();
  EXPECT_FLOAT_EQ(fixture.top().cpu_data()[0], 2.0f / 3) << "the last is tied";
}

TEST(Accuracy, NamesWhatIsWrong) {
  EXPECT_EQ(error_of([] { accuracy("top_k: 4"); }),
            "layer 'layer' (Accuracy): top_k: 4 is more than the 3 classes");
  EXPECT_EQ(error_of([] { accuracy("top_k: 4294967295"); }),
            "layer 'layer' (Accuracy): top_k: 4294967295 is too large");
  for (const float label : {-1.0f, 3.0f})
    EXPECT_NE(error_of([&] {
                accuracy("", 1, {0, label, 0});
              }).find("of row 1 is not one of the classes 0 to 2"),
              std::string::npos);
}

}  // namespace
}  // namespace vibnet
