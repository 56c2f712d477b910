#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using testing::ElementsAre;

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"EltwiseProductCoefficients",
     "type: 'Eltwise' eltwise_param { operation: PROD coeff: 1 coeff: 1 }",
     {{2}, {2}},
     "coeff is for operation: SUM"},
});

struct Result {
  std::vector<float> top;
  /// The first bottom's gradient over the top's.
  std::vector<float> slopes;
};

Result eltwise(const std::string& parameter, const std::vector<std::vector<float>>& bottoms) {
  const Shape shape = {static_cast<int>(bottoms[0].size())};
  LayerFixture fixture("type: 'Eltwise' eltwise_param { " + parameter + " }",
                       std::vector<Shape>(bottoms.size(), shape));
  for (std::size_t b = 0; b < bottoms.size(); ++b)
    std::copy(bottoms[b].begin(), bottoms[b].end(),
              fixture.bottom(static_cast<int>(b)).mutable_cpu_data());
  fixture.forward();
  fixture.backward();
  Result result;
  for (int i = 0; i < shape[0]; ++i) {
    result.top.push_back(fixture.top().cpu_data()[i]);
    result.slopes.push_back(fixture.bottom().cpu_diff()[i] / fixture.top().cpu_diff()[i]);
  }
  return result;
}

TEST(Eltwise, Multiplies) {
  for (const std::string stable : {"", " stable_prod_grad: false"}) {
    const Result result = eltwise("operation: PROD" + stable, {{2, 0}, {3, 4}, {-1, 2}});
    EXPECT_THAT(result.top, ElementsAre(-6, 0));
    EXPECT_THAT(result.slopes, ElementsAre(-3, 8)) << "at 0 as well";
  }
}

TEST(Eltwise, AddsByCoefficients) {
  EXPECT_THAT(eltwise("", {{2, 0}, {3, 4}, {-1, 2}}).top, ElementsAre(4, 6));
  const Result result = eltwise("operation: SUM coeff: 2 coeff: -1", {{2, 0}, {3, 4}});
  EXPECT_THAT(result.top, ElementsAre(1, -4));
  EXPECT_THAT(result.slopes, ElementsAre(2, 2));
}

TEST(Eltwise, TakesTheLargestWhateverTheCoefficients) {
  const Result result = eltwise("operation: MAX coeff: 5 coeff: -5", {{2, 0, 1}, {1, 4, 1}});
  EXPECT_THAT(result.top, ElementsAre(2, 4, 1));
  EXPECT_THAT(result.slopes, ElementsAre(1, 0, 0)) << "of equals the second";
}

}  // namespace
}  // namespace vibnet
