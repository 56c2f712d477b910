// Reshape, Reduction, Tile, Permute, ShuffleChannel, Slice and Concat.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "support/layer_cases.h"

namespace vibnet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

[[maybe_unused]] const bool kGradientsAdded = add_gradient_cases({
    {"Reshape", "type: 'Reshape' reshape_param { shape { dim: 0 dim: -1 } }", {{2, 3, 4}}},
    {"ReductionSum", "type: 'Reduction'", {{2, 3, 2}}},
    {"ReductionMean",
     "type: 'Reduction' reduction_param { operation: MEAN axis: 1 coeff: 1.5 }",
     {{2, 3, 2}}},
    {"ReductionAsum",
     "type: 'Reduction' reduction_param { operation: ASUM axis: -1 coeff: -2 }",
     {{2, 3, 2}},
     1,
     kKinkAtZero},
    {"ReductionSumsq",
     "type: 'Reduction' reduction_param { operation: SUMSQ axis: 1 coeff: 0.5 }",
     {{2, 3, 2}}},
    {"Tile", "type: 'Tile' tile_param { axis: 1 tiles: 3 }", {{2, 3, 2}}},
    {"Permute",
     "type: 'Permute' permute_param { order: 2 order: 0 order: 3 order: 1 }",
     {{2, 3, 2, 4}}},
    {"ShuffleChannel", "type: 'ShuffleChannel' shuffle_channel_param { group: 2 }", {{2, 6, 2}}},
    {"SliceOfOneTop", "type: 'Slice'", {{2, 3, 2}}},
    {"ConcatOfOneBottom", "type: 'Concat'", {{2, 3, 2}}},
});

[[maybe_unused]] const bool kWrongAdded = add_wrong_cases({
    {"ReshapeCount", "type: 'Reshape' reshape_param { shape { dim: 5 } }", {{2, 3}}, "2x3 (6)"},
    {"ReshapeTwoLeftOver",
     "type: 'Reshape' reshape_param { shape { dim: -1 dim: -1 } }",
     {{2, 3}},
     "more than one -1"},
    {"ReshapeNotDivisible",
     "type: 'Reshape' reshape_param { shape { dim: -1 dim: 4 } }",
     {{2, 3}},
     "cannot be shared out"},
    {"ReshapeOfEmpty",
     "type: 'Reshape' reshape_param { shape { dim: 0 dim: -1 } }",
     {{0, 3}},
     "cannot be shared out"},
    {"ReshapeOfEmptyBehind",
     "type: 'Reshape' reshape_param { shape { dim: 0 dim: 0 dim: -1 } }",
     {{3, 0}},
     "cannot be shared out"},
    {"ReshapeOfEmptyToSome",
     "type: 'Reshape' reshape_param { shape { dim: 1 dim: 3 } }",
     {{0, 3}},
     "cannot give the bottom, 0x3 (0), the shape 1x3 (3)"},
    {"ReshapeNegative",
     "type: 'Reshape' reshape_param { shape { dim: -2 } }",
     {{2, 3}},
     "a dim of -2"},
    {"ReshapeHuge",
     "type: 'Reshape' reshape_param { shape { dim: 4294967298 dim: 3 } }",
     {{2, 3}},
     "a dim of 4294967298"},
    {"ReshapeNothingToCopy",
     "type: 'Reshape' reshape_param { shape { dim: 2 dim: 3 dim: 0 } }",
     {{2, 3}},
     "a 0 at axis 2"},
    {"ReshapeAxis", "type: 'Reshape' reshape_param { axis: -4 }", {{2, 3}}, "axis: -4"},
    {"ReshapeAxes",
     "type: 'Reshape' reshape_param { axis: 1 num_axes: 2 }",
     {{2, 3}},
     "num_axes: 2 reaches past"},
    {"ReductionAxis", "type: 'Reduction' reduction_param { axis: 2 }", {{2, 3}}, "axis 2"},
    {"TileMissing", "type: 'Tile'", {{2, 3}}, "tiles is missing"},
    {"TileHuge", "type: 'Tile' tile_param { tiles: 2147483647 }", {{2, 3}}, "too large"},
    {"PermuteAxis", "type: 'Permute' permute_param { order: 2 }", {{2, 3}}, "order: 2 is out of"},
    {"PermuteTwice",
     "type: 'Permute' permute_param { order: 1 order: 1 }",
     {{2, 3}},
     "has order: 1 twice"},
    {"ShuffleChannelGroup",
     "type: 'ShuffleChannel' shuffle_channel_param { group: 2 }",
     {{2, 3}},
     "group: 2 must divide the 3 channels"},
    {"ShuffleChannelNoGroup",
     "type: 'ShuffleChannel' shuffle_channel_param { group: 0 }",
     {{2, 3}},
     "group: 0"},
    {"ShuffleChannelAxes", "type: 'ShuffleChannel'", {{3}}, "at least 2 axes"},
    {"SliceAxisTwice",
     "type: 'Slice' slice_param { axis: 1 slice_dim: 1 }",
     {{2, 3}},
     "has axis and slice_dim"},
    {"SliceUnequal",
     "type: 'Slice' slice_param { slice_point: 3 }",
     {{2, 3}},
     "needs 0 slice_point"},
    {"ConcatAxisTwice",
     "type: 'Concat' concat_param { axis: 1 concat_dim: 1 }",
     {{2, 3}},
     "has axis and concat_dim"},
});

/// A layer that has run on bottoms of 0, 1, 2, ... each.
class Trial {
 public:
  Trial(const std::string& prototxt, const std::vector<Shape>& bottoms, int tops = 1)
      : fixture_(prototxt, bottoms, tops) {
    for (int b = 0; b < fixture_.bottoms(); ++b) {
      float* x = fixture_.bottom(b).mutable_cpu_data();
      std::iota(x, x + fixture_.bottom(b).count(), 0.0f);
    }
    fixture_.forward();
  }

  const Shape& shape(int top = 0) { return fixture_.top(top).shape(); }
  std::vector<float> top(int index = 0) {
    const Blob& blob = fixture_.top(index);
    return {blob.cpu_data(), blob.cpu_data() + blob.count()};
  }

 private:
  LayerFixture fixture_;
};

Shape reshaped(const std::string& parameter, const Shape& bottom) {
  return Trial("type: 'Reshape' reshape_param { " + parameter + " }", {bottom}).shape();
}

TEST(Reshape, ReplacesAxes) {
  EXPECT_EQ(reshaped("shape { dim: 0 dim: 0 dim: 2 dim: -1 }", {2, 3, 8}), (Shape{2, 3, 2, 4}));
  EXPECT_EQ(reshaped("shape { dim: -1 } axis: 1 num_axes: 1", {2, 3, 8}), (Shape{2, 3, 8}));
  EXPECT_EQ(reshaped("shape { dim: 3 dim: 2 dim: 4 } axis: 1", {2, 3, 8}), (Shape{2, 3, 2, 4}));
  EXPECT_EQ(reshaped("shape { dim: 1 } axis: 1 num_axes: 0", {2, 3, 8}), (Shape{2, 1, 3, 8}));
  EXPECT_EQ(reshaped("shape { dim: 1 dim: 1 } axis: -1", {2, 3}), (Shape{2, 3, 1, 1}));
  EXPECT_EQ(reshaped("shape { dim: 0 dim: 3 dim: 2 } axis: -3 num_axes: 2", {2, 4, 6}),
            (Shape{2, 4, 3, 2}));
  EXPECT_EQ(reshaped("shape { }", {1, 1}), Shape());
  EXPECT_EQ(reshaped("shape { dim: 0 dim: 3 dim: 1 }", {0, 3}), (Shape{0, 3, 1}));
  EXPECT_EQ(reshaped("shape { dim: -1 dim: 3 }", {0, 3}), (Shape{0, 3}));
  EXPECT_THAT(Trial("type: 'Reshape' reshape_param { shape { dim: 3 dim: 2 } }", {{2, 3}}).top(),
              ElementsAre(0, 1, 2, 3, 4, 5));
}

std::vector<float> reduced(const std::string& parameter) {
  LayerFixture fixture("type: 'Reduction' reduction_param { " + parameter + " }", {{2, 2}});
  float* x = fixture.bottom().mutable_cpu_data();
  x[0] = 1, x[1] = -2, x[2] = 3, x[3] = 4;
  fixture.forward();
  return {fixture.top().cpu_data(), fixture.top().cpu_data() + fixture.top().count()};
}

TEST(Reduction, SumsWhatIsBehindTheAxis) {
  EXPECT_THAT(reduced(""), ElementsAre(6));
  EXPECT_THAT(reduced("axis: 1"), ElementsAre(-1, 7));
  EXPECT_THAT(reduced("axis: -1 operation: ASUM"), ElementsAre(3, 7));
  EXPECT_THAT(reduced("axis: 1 operation: SUMSQ coeff: 2"), ElementsAre(10, 50));
  EXPECT_THAT(reduced("operation: MEAN coeff: 2"), ElementsAre(3));
  EXPECT_EQ(Trial("type: 'Reduction'", {{2, 3}}).shape(), Shape());
  EXPECT_EQ(Trial("type: 'Reduction' reduction_param { axis: 1 }", {{2, 3}}).shape(), Shape{2});
}

TEST(Reduction, OfNothingIsNothing) {
  EXPECT_THAT(
      Trial("type: 'Reduction' reduction_param { operation: MEAN axis: 1 }", {{2, 0}}).top(),
      ElementsAre(0, 0));
}

TEST(EmptyBlobs, PassThroughLayersThatMoveOrMixValues) {
  for (const char* layer :
       {"type: 'Tile' tile_param { tiles: 2 }", "type: 'Permute' permute_param { order: 1 }",
        "type: 'ShuffleChannel'", "type: 'Reduction' reduction_param { axis: 1 }", "type: 'LRN'",
        "type: 'LRN' lrn_param { norm_region: WITHIN_CHANNEL }", "type: 'MVN'",
        "type: 'MVN' mvn_param { across_channels: true }", "type: 'Slice'", "type: 'Concat'",
        "type: 'SPP' spp_param { pyramid_height: 2 }",
        "type: 'Interp' interp_param { zoom_factor: 2 }",
        "type: 'Im2col' convolution_param { kernel_size: 2 }",
        "type: 'Pooling' pooling_param { pool: STOCHASTIC kernel_size: 2 }"})
    for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{3, 0, 2, 2}}) {
      SCOPED_TRACE(layer);
      LayerFixture fixture(layer, {shape});
      fixture.forward();
      fixture.backward();
      for (int i = 0; i < fixture.top().count(); ++i) ASSERT_EQ(fixture.top().cpu_data()[i], 0);
    }
}

TEST(Tile, RepeatsAlongTheAxis) {
  Trial first("type: 'Tile' tile_param { axis: 0 tiles: 2 }", {{2, 2}});
  EXPECT_EQ(first.shape(), (Shape{4, 2}));
  EXPECT_THAT(first.top(), ElementsAre(0, 1, 2, 3, 0, 1, 2, 3));
  EXPECT_THAT(Trial("type: 'Tile' tile_param { axis: -1 tiles: 2 }", {{2, 2}}).top(),
              ElementsAre(0, 1, 0, 1, 2, 3, 2, 3));
}

TEST(Permute, PutsAxesInOrder) {
  Trial turned("type: 'Permute' permute_param { order: 1 order: 0 }", {{2, 3}});
  EXPECT_EQ(turned.shape(), (Shape{3, 2}));
  EXPECT_THAT(turned.top(), ElementsAre(0, 3, 1, 4, 2, 5));
  Trial last("type: 'Permute' permute_param { order: 2 }", {{1, 2, 3}});
  EXPECT_EQ(last.shape(), (Shape{3, 1, 2}));
  EXPECT_THAT(last.top(), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(Trial("type: 'Permute'", {{2, 2}}).top(), ElementsAre(0, 1, 2, 3));
}

TEST(ShuffleChannel, TakesTheGroupsInTurn) {
  EXPECT_THAT(Trial("type: 'ShuffleChannel' shuffle_channel_param { group: 2 }", {{2, 6}}).top(),
              ElementsAre(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11));
  EXPECT_THAT(Trial("type: 'ShuffleChannel' shuffle_channel_param { group: 3 }", {{1, 6, 2}}).top(),
              ElementsAre(0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11));
}

TEST(Slice, TakesItsAxisInEitherForm) {
  for (const char* axis : {"axis: 2", "axis: -1", "slice_dim: 2"}) {
    Trial run("type: 'Slice' slice_param { " + std::string(axis) + " slice_point: 1 }", {{1, 2, 3}},
              2);
    EXPECT_THAT(run.top(0), ElementsAre(0, 3)) << axis;
    EXPECT_THAT(run.top(1), ElementsAre(1, 2, 4, 5)) << axis;
  }
  EXPECT_THAT(Trial("type: 'Slice'", {{1, 2, 2}}, 2).top(1), ElementsAre(2, 3));
  EXPECT_THAT(Trial("type: 'Slice'", {{1, 2, 2}}).top(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Trial("type: 'Slice'", {{1, 0, 2}}, 2).top(1), IsEmpty());
}

TEST(Concat, TakesItsAxisInEitherForm) {
  for (const char* axis : {"axis: 2", "axis: -1", "concat_dim: 2"})
    EXPECT_THAT(
        Trial("type: 'Concat' concat_param { " + std::string(axis) + " }", {{1, 2, 2}, {1, 2, 1}})
            .top(),
        ElementsAre(0, 1, 0, 2, 3, 1))
        << axis;
}

}  // namespace
}  // namespace vibnet
