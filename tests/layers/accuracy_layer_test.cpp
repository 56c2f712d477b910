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
}

TEST(Accuracy, SharesPerClass) { EXPECT_THAT(accuracy("", 2), ElementsAre(0, 0.5f, 0)); }

TEST(Accuracy, NamesWhatIsWrong) {
  EXPECT_EQ(error_of([] { accuracy("top_k: 4"); }),
            "layer 'layer' (Accuracy): top_k: 4 is more than the 3 classes");
  for (const float label : {-1.0f, 3.0f})
    EXPECT_NE(error_of([&] {
                accuracy("", 1, {0, label, 0});
              }).find("of row 1 is not one of the classes 0 to 2"),
              std::string::npos);
}

}  // namespace
}  // namespace vibnet
