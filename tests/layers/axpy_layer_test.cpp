#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

[[maybe_unused]] const bool kGradients = add_gradient_cases({
    {"Axpy", "type: 'Axpy'", {{2, 3}, {2, 3, 2, 2}, {2, 3, 2, 2}}},
    {"AxpyOfFourAxes", "type: 'Axpy'", {{2, 3, 1, 1}, {2, 3, 4}, {2, 3, 4}}},
});

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"AxpyScale",
     "type: 'Axpy'",
     {{2, 4}, {2, 3, 2, 2}, {2, 3, 2, 2}},
     "bottom 0 is 2x4 (8), and for a bottom 1 of 2x3x2x2 (24) it must be samples x channels"},
    {"AxpyPlanes",
     "type: 'Axpy'",
     {{2, 3, 2, 2}, {2, 3, 2, 2}, {2, 3, 2, 2}},
     "bottom 0 is 2x3x2x2"},
    {"AxpyOfOneAxis", "type: 'Axpy'", {{2}, {2}, {2}}, "samples x channels"},
    {"AxpyAddend",
     "type: 'Axpy'",
     {{2, 3}, {2, 3, 4}, {2, 3, 5}},
     "bottom 2 is 2x3x5 (30), and bottom 1 is 2x3x4 (24)"},
});

TEST(Axpy, ScalesAndAdds) {
  LayerFixture fixture("type: 'Axpy'", {{1, 2}, {1, 2, 2}, {1, 2, 2}});
  const std::vector<std::vector<float>> bottoms = {{2, -1}, {1, 2, 3, 4}, {10, 20, 30, 40}};
  for (int b = 0; b < 3; ++b)
    std::copy(bottoms[b].begin(), bottoms[b].end(), fixture.bottom(b).mutable_cpu_data());
  fixture.forward();
  EXPECT_THAT(std::vector<float>(fixture.top().cpu_data(), fixture.top().cpu_data() + 4),
              testing::ElementsAre(12, 24, 27, 36));
}

}  // namespace
}  // namespace vibnet
