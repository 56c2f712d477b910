// SPP, Interp and Crop.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "support/layer_cases.h"

namespace vibnet {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

[[maybe_unused]] const bool kGradientsAdded = add_gradient_cases({
    {"SPP", "type: 'SPP' spp_param { pyramid_height: 2 }", {{2, 2, 5, 3}}, 1, kRanks},
    {"SPPMean", "type: 'SPP' spp_param { pyramid_height: 3 pool: AVE }", {{2, 2, 7, 8}}},
    {"SPPOfOneLevel", "type: 'SPP' spp_param { pyramid_height: 1 pool: AVE }", {{2, 2, 3, 4}}},
    {"InterpUp", "type: 'Interp' interp_param { height: 7 width: 5 }", {{1, 2, 3, 4}}},
    {"InterpDown",
     "type: 'Interp' interp_param { shrink_factor: 2 pad_beg: -1 pad_end: -1 }",
     {{2, 1, 7, 6}}},
    {"Crop", "type: 'Crop' crop_param { offset: 1 offset: 2 }", {{2, 2, 4, 5}, {2, 2, 2, 3}}},
});

[[maybe_unused]] const bool kWrongAdded = add_wrong_cases({
    {"SPPNoHeight", "type: 'SPP'", {{2, 3, 4, 4}}, "pyramid_height must be in 1 .. 25, not 0"},
    {"SPPHeight",
     "type: 'SPP' spp_param { pyramid_height: 26 }",
     {{2, 3, 4, 4}},
     "pyramid_height must be in 1 .. 25, not 26"},
    {"SPPSmallPlanes",
     "type: 'SPP' spp_param { pyramid_height: 3 }",
     {{2, 3, 3, 3}},
     "level 2, 4x4 bins: "},
    {"SPPAxes", "type: 'SPP' spp_param { pyramid_height: 1 }", {{2, 3, 4}}, "2x3x4"},
    {"InterpNoSize", "type: 'Interp'", {{2, 3, 4, 4}}, "needs height and width"},
    {"InterpHeightAlone",
     "type: 'Interp' interp_param { height: 3 }",
     {{2, 3, 4, 4}},
     "needs height and width"},
    {"InterpPad",
     "type: 'Interp' interp_param { zoom_factor: 2 pad_beg: 1 }",
     {{2, 3, 4, 4}},
     "must be 0 or less"},
    {"InterpNothingLeft",
     "type: 'Interp' interp_param { zoom_factor: 2 pad_beg: -2 pad_end: -2 }",
     {{2, 3, 4, 4}},
     "nothing is left of an axis of 4"},
    {"InterpFactor",
     "type: 'Interp' interp_param { zoom_factor: 0 }",
     {{2, 3, 4, 4}},
     "must be at least 1"},
    {"InterpNegative",
     "type: 'Interp' interp_param { height: -1 width: 2 }",
     {{2, 3, 4, 4}},
     "at least 1"},
    {"InterpLarge",
     "type: 'Interp' interp_param { zoom_factor: 2147483647 }",
     {{2, 3, 4, 4}},
     "too large"},
    {"CropOffsets",
     "type: 'Crop' crop_param { axis: 1 offset: 1 offset: 1 }",
     {{2, 3, 4, 4}, {2, 3, 2, 2}},
     "offset takes one value or one for each of the 3 axes"},
    {"CropBeyond",
     "type: 'Crop' crop_param { offset: 3 }",
     {{2, 3, 4, 4}, {2, 3, 2, 2}},
     "cannot cut 2 values from 3 on out of the 4 of axis 2"},
    {"CropAxes", "type: 'Crop'", {{2, 3, 4, 4}, {2, 2}}, "as many axes"},
    {"CropAxis", "type: 'Crop' crop_param { axis: 4 }", {{2, 3}, {2, 2}}, "axis 4"},
});

/// The layer's top for a bottom of 0, 1, 2, ....
std::vector<float> top_for(const std::string& prototxt, const std::vector<Shape>& bottoms,
                           const Shape& expected_shape) {
  LayerFixture fixture(prototxt, bottoms);
  float* x = fixture.bottom().mutable_cpu_data();
  std::iota(x, x + fixture.bottom().count(), 0.0f);
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), expected_shape);
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + fixture.top().count()};
}

TEST(SPP, PutsTheLevelsSideBySide) {
  EXPECT_THAT(top_for("type: 'SPP' spp_param { pyramid_height: 2 }", {{1, 2, 4, 4}}, {1, 10}),
              ElementsAre(15, 31, 5, 7, 13, 15, 21, 23, 29, 31));
  EXPECT_THAT(
      top_for("type: 'SPP' spp_param { pyramid_height: 2 pool: AVE }", {{2, 1, 2, 2}}, {2, 5}),
      ElementsAre(1.5f, 0, 1, 2, 3, 5.5f, 4, 5, 6, 7));
}

TEST(SPP, PadsWhatTheBinsDoNotDivide) {
  // 5 rows in 2 bins of 3 from row -1 on: rows 0 and 1, then 2 to 4.
  EXPECT_THAT(top_for("type: 'SPP' spp_param { pyramid_height: 2 }", {{1, 1, 5, 2}}, {1, 5}),
              ElementsAre(9, 2, 3, 8, 9));
  EXPECT_THAT(
      top_for("type: 'SPP' spp_param { pyramid_height: 2 pool: AVE }", {{1, 1, 5, 2}}, {1, 5}),
      ElementsAre(4.5f, 2 / 3.0f, 4 / 3.0f, 6, 7));
}

TEST(SPP, OfOneLevelIsAGlobalPooling) {
  EXPECT_THAT(top_for("type: 'SPP' spp_param { pyramid_height: 1 }", {{1, 2, 2, 3}}, {1, 2, 1, 1}),
              ElementsAre(5, 11));
}

TEST(Interp, PutsCornersOnCorners) {
  EXPECT_THAT(
      top_for("type: 'Interp' interp_param { height: 3 width: 5 }", {{1, 1, 2, 3}}, {1, 1, 3, 5}),
      ElementsAre(0, 0.5f, 1, 1.5f, 2, 1.5f, 2, 2.5f, 3, 3.5f, 3, 3.5f, 4, 4.5f, 5));
  EXPECT_THAT(
      top_for("type: 'Interp' interp_param { height: 1 width: 1 }", {{1, 1, 2, 3}}, {1, 1, 1, 1}),
      ElementsAre(0));
}

TEST(Interp, SizesComeFromFactors) {
  EXPECT_THAT(
      top_for("type: 'Interp' interp_param { zoom_factor: 2 }", {{1, 1, 2, 2}}, {1, 1, 3, 3}),
      ElementsAre(0, 0.5f, 1, 1, 1.5f, 2, 2, 2.5f, 3));
  EXPECT_THAT(
      top_for("type: 'Interp' interp_param { shrink_factor: 2 }", {{1, 1, 3, 3}}, {1, 1, 2, 2}),
      ElementsAre(0, 2, 6, 8));
  top_for("type: 'Interp' interp_param { shrink_factor: 4 zoom_factor: 3 }", {{1, 1, 6, 9}},
          {1, 1, 4, 7});
  top_for("type: 'Interp' interp_param { shrink_factor: 4 zoom_factor: 3 height: 2 width: 5 }",
          {{1, 1, 6, 9}}, {1, 1, 2, 5});
}

TEST(Interp, NegativePadsCutOff) {
  EXPECT_THAT(top_for("type: 'Interp' interp_param { zoom_factor: 1 pad_beg: -1 pad_end: -2 }",
                      {{1, 1, 4, 5}}, {1, 1, 1, 2}),
              ElementsAre(6, 7));
}

TEST(Crop, CutsFromTheAxisOn) {
  EXPECT_THAT(top_for("type: 'Crop' crop_param { offset: 1 offset: 2 }",
                      {{1, 1, 3, 4}, {9, 9, 2, 2}}, {1, 1, 2, 2}),
              ElementsAre(6, 7, 10, 11));
  EXPECT_THAT(top_for("type: 'Crop' crop_param { axis: -3 offset: 1 }",
                      {{1, 2, 3, 3}, {1, 1, 2, 1}}, {1, 1, 2, 1}),
              ElementsAre(13, 16));
  EXPECT_THAT(top_for("type: 'Crop'", {{1, 1, 2, 3}, {1, 1, 2, 2}}, {1, 1, 2, 2}),
              ElementsAre(0, 1, 3, 4));
}

TEST(Crop, GivesNoGradientToWhatIsCutOff) {
  LayerFixture fixture("type: 'Crop' crop_param { offset: 1 }", {{1, 1, 2, 3}, {1, 1, 1, 1}});
  fixture.bottom().set_diff(5);
  fixture.forward();
  fixture.backward();
  const float* dx = fixture.bottom().cpu_diff();
  EXPECT_THAT(std::vector<float>(dx, dx + 6),
              ElementsAreArray({0.0f, 0.0f, 0.0f, 0.0f, fixture.top().cpu_diff()[0], 0.0f}));
}

}  // namespace
}  // namespace vibnet
