// Convolution, Deconvolution, DepthwiseConvolution and Im2col: what takes a convolution_param.

#include <gtest/gtest.h>
#include <omp.h>

#include <functional>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_cases.h"

namespace vibnet {
namespace {

[[maybe_unused]] const bool kGradientsAdded = add_gradient_cases({
    {"ConvolutionOfOneAxis",
     "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 "
     "group: 2 weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }",
     {{2, 4, 7}}},
    {"ConvolutionOfThreeAxes",
     "type: 'Convolution' convolution_param { num_output: 2 kernel_size: 2 kernel_size: 3 "
     "kernel_size: 1 stride: 1 stride: 2 stride: 1 pad: 1 pad: 0 pad: 1 dilation: 2 dilation: 1 "
     "dilation: 1 weight_filler { type: 'gaussian' } }",
     {{2, 2, 3, 5, 2}}},
    {"ConvolutionOfNoAxis",
     "type: 'Convolution' convolution_param { num_output: 3 kernel_size: 1 "
     "weight_filler { type: 'gaussian' } }",
     {{3, 4}}},
    {"ConvolutionAtAxisTwo",
     "type: 'Convolution' convolution_param { num_output: 3 kernel_size: 2 axis: -3 "
     "weight_filler { type: 'gaussian' } }",
     {{2, 2, 2, 3, 3}}},
    {"Deconvolution",
     "type: 'Deconvolution' convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 "
     "dilation: 2 group: 2 weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }",
     {{2, 4, 3, 2}}},
    {"DeconvolutionPointwise",
     "type: 'Deconvolution' convolution_param { num_output: 2 kernel_size: 1 bias_term: false "
     "weight_filler { type: 'gaussian' } }",
     {{2, 3, 3, 2}}},
    {"DeconvolutionOfThreeAxes",
     "type: 'Deconvolution' convolution_param { num_output: 2 kernel_size: 2 stride: 2 "
     "weight_filler { type: 'gaussian' } }",
     {{1, 3, 2, 2, 2}}},
    {"DepthwiseConvolution",
     "type: 'DepthwiseConvolution' convolution_param { num_output: 6 kernel_size: 3 pad: 1 "
     "weight_filler { type: 'gaussian' } }",
     {{2, 3, 4, 3}}},
    {"Im2col",
     "type: 'Im2col' convolution_param { kernel_size: 3 stride: 2 pad: 1 dilation: 2 }",
     {{2, 2, 6, 5}}},
    {"Im2colOfOneAxis", "type: 'Im2col' convolution_param { kernel_size: 3 }", {{2, 2, 5}}},
    {"Im2colOfThreeAxes",
     "type: 'Im2col' convolution_param { kernel_size: 2 pad: 1 }",
     {{2, 2, 2, 3, 2}}},
});

[[maybe_unused]] const bool kWrongAdded = add_wrong_cases({
    {"ConvolutionKernelSizes",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 kernel_size: 1 }",
     {{2, 3, 4}},
     "kernel_size takes one value or one for each of the 1 axes behind the channels, and has 2"},
    {"ConvolutionKernelTwice",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 kernel_h: 1 "
     "kernel_w: 1 }",
     {{2, 3, 4, 4}},
     "has kernel_size and its _h or _w field"},
    {"ConvolutionKernelHeightAlone",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_h: 1 }",
     {{2, 3, 4, 4}},
     "kernel_size is missing or 0"},
    {"ConvolutionHeightOfThreeAxes",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 pad_h: 1 }",
     {{2, 3, 4, 4, 4}},
     "the _h and _w fields of pad are for 2 axes"},
    {"ConvolutionDilationZero",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 dilation: 0 }",
     {{2, 3, 4, 4}},
     "dilation cannot be 0"},
    {"ConvolutionAxis",
     "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 1 axis: 4 }",
     {{2, 3, 4, 4}},
     "axis 4 is out of range"},
    {"DeconvolutionPad",
     "type: 'Deconvolution' convolution_param { num_output: 1 kernel_size: 1 pad: 2 }",
     {{2, 3, 4, 4}},
     "the top would have 0 values along axis 2"},
    {"DeconvolutionStride",
     "type: 'Deconvolution' convolution_param { num_output: 1 kernel_size: 1 stride: 16777216 }",
     {{1, 1, 1000, 1}},
     "values along axis 2"},
    {"DeconvolutionGroups",
     "type: 'Deconvolution' convolution_param { num_output: 3 kernel_size: 1 group: 2 }",
     {{2, 4, 4, 4}},
     "group: 2 must divide"},
    {"DepthwiseConvolutionOutputs",
     "type: 'DepthwiseConvolution' convolution_param { num_output: 4 kernel_size: 1 }",
     {{2, 3, 4, 4}},
     "group: 3 must divide the 3 channels and the 4 outputs"},
    {"Im2colOfNoAxis",
     "type: 'Im2col' convolution_param { kernel_size: 1 }",
     {{2, 3}},
     "needs an axis behind the channels"},
    {"Im2colKernel",
     "type: 'Im2col' convolution_param { kernel_size: 4 }",
     {{2, 3, 3}},
     "the kernel spans 4 values of axis 2"},
});

/// Calls visit for every index of the shape, the last axis running fastest.
void for_each_index(const Shape& shape, const std::function<void(const Shape&)>& visit) {
  const int total = count(shape, 0, static_cast<int>(shape.size()));
  for (int i = 0; i < total; ++i) {
    Shape index(shape.size());
    int rest = i;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
      index[axis] = rest % shape[axis];
    visit(index);
  }
}

int offset_of(const Shape& shape, const Shape& index) {
  int offset = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    offset = offset * shape[axis] + index[axis];
  return offset;
}

/// How windows stand on a map, axis by axis.
struct Windows {
  Shape map, places, kernel, stride, pad, dilation;

  /// Calls visit(the map's offset, the place's, the tap's) wherever a tap of a window is on the
  /// map.
  void for_each_contact(const std::function<void(int, int, int)>& visit) const {
    for_each_index(places, [&](const Shape& place) {
      for_each_index(kernel, [&](const Shape& tap) {
        Shape at(map.size());
        for (std::size_t axis = 0; axis < map.size(); ++axis) {
          at[axis] = place[axis] * stride[axis] - pad[axis] + tap[axis] * dilation[axis];
          if (at[axis] < 0 || at[axis] >= map[axis]) return;
        }
        visit(offset_of(map, at), offset_of(places, place), offset_of(kernel, tap));
      });
    });
  }
};

int product(const Shape& shape) { return count(shape, 0, static_cast<int>(shape.size())); }

/// The top of a Convolution (or, transposed, a Deconvolution), straight from the definition.
std::vector<float> expected_top(LayerFixture* fixture, const Windows& windows, int groups,
                                bool is_transposed) {
  const Blob& x = fixture->bottom();
  const Blob& y = fixture->top();
  const Blob& weights = *fixture->layer().blobs()[0];
  const int samples = x.shape(0);
  const int in = x.shape(1);
  const int out = y.shape(1);
  const int in_size = product(is_transposed ? windows.places : windows.map);
  const int out_size = product(is_transposed ? windows.map : windows.places);
  const int taps = product(windows.kernel);
  std::vector<float> top(y.count());
  for (int i = 0; i < y.count(); ++i)
    if (fixture->layer().blobs().size() > 1)
      top[i] = fixture->layer().blobs()[1]->cpu_data()[i / out_size % out];
  windows.for_each_contact([&](int map, int place, int tap) {
    for (int n = 0; n < samples; ++n)
      for (int o = 0; o < out; ++o)
        for (int c = 0; c < in; ++c) {
          if (o / (out / groups) != c / (in / groups)) continue;
          const int filter = is_transposed ? c * (out / groups) + o % (out / groups)
                                           : o * (in / groups) + c % (in / groups);
          top[(n * out + o) * out_size + (is_transposed ? map : place)] +=
              weights.cpu_data()[filter * taps + tap] *
              x.cpu_data()[(n * in + c) * in_size + (is_transposed ? place : map)];
        }
  });
  return top;
}

void expect_top(const std::string& prototxt, const Shape& bottom, const Shape& top_shape,
                const Windows& windows, int groups, bool is_transposed = false) {
  SCOPED_TRACE(prototxt);
  LayerFixture fixture(prototxt +
                           " weight_filler { type: 'gaussian' } bias_filler { type: "
                           "'gaussian' } }",
                       {bottom});
  fixture.forward();
  ASSERT_EQ(fixture.top().shape(), top_shape);
  const std::vector<float> expected = expected_top(&fixture, windows, groups, is_transposed);
  for (int i = 0; i < fixture.top().count(); ++i)
    ASSERT_NEAR(fixture.top().cpu_data()[i], expected[i], 1e-4) << "value " << i;
}

TEST(Convolution, OfAnyNumberOfAxesIsTheDefinition) {
  expect_top(
      "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1",
      {2, 3, 8}, {2, 4, 4}, {{8}, {4}, {3}, {2}, {1}, {1}}, 1);
  expect_top(
      "type: 'Convolution' convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 stride_h: 2 "
      "stride_w: 1 pad_h: 0 pad_w: 1 dilation: 1 dilation: 2 group: 2 force_nd_im2col: true",
      {2, 4, 5, 4}, {2, 4, 2, 4}, {{5, 4}, {2, 4}, {3, 2}, {2, 1}, {0, 1}, {1, 2}}, 2);
  expect_top(
      "type: 'Convolution' convolution_param { num_output: 6 kernel_size: 2 kernel_size: 3 "
      "kernel_size: 1 stride: 2 pad: 1 pad: 0 pad: 2 group: 3 dilation: 1",
      {2, 3, 4, 5, 3}, {2, 6, 3, 2, 4},
      {{4, 5, 3}, {3, 2, 4}, {2, 3, 1}, {2, 2, 2}, {1, 0, 2}, {1, 1, 1}}, 3);
  expect_top("type: 'Convolution' convolution_param { num_output: 2 kernel_size: 2",
             {1, 2, 2, 3, 2, 3}, {1, 2, 1, 2, 1, 2},
             {{2, 3, 2, 3}, {1, 2, 1, 2}, {2, 2, 2, 2}, {1, 1, 1, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}},
             1);
}

TEST(Convolution, TheKernelMayReachBeyondTheMapByLessThanAStride) {
  expect_top("type: 'Convolution' convolution_param { num_output: 2 kernel_size: 5 stride: 2",
             {2, 1, 4, 4}, {2, 2, 1, 1}, {{4, 4}, {1, 1}, {5, 5}, {2, 2}, {0, 0}, {1, 1}}, 1);
}

TEST(Convolution, OfNoAxisIsAnInnerProduct) {
  LayerFixture fixture(
      "type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1 bias_term: false }",
      {{3, 2}});
  float* weights = fixture.layer().blobs()[0]->mutable_cpu_data();
  std::copy_n(std::vector<float>{1, 2, 3, 4}.data(), 4, weights);
  fixture.forward();
  ASSERT_EQ(fixture.top().shape(), (Shape{3, 2}));
  const float* x = fixture.bottom().cpu_data();
  EXPECT_FLOAT_EQ(fixture.top().cpu_data()[5], 3 * x[4] + 4 * x[5]);
}

TEST(Convolution, AxesBeforeTheChannelsAreSamples) {
  LayerFixture apart(
      "type: 'Convolution' convolution_param { num_output: 3 kernel_size: 2 axis: 2 "
      "weight_filler { type: 'gaussian' } }",
      {{2, 3, 2, 4, 4}});
  LayerFixture together(
      "type: 'Convolution' convolution_param { num_output: 3 kernel_size: 2 "
      "weight_filler { type: 'gaussian' } }",
      {{6, 2, 4, 4}});
  apart.forward();
  together.forward();
  ASSERT_EQ(apart.top().shape(), (Shape{2, 3, 3, 3, 3}));
  for (int i = 0; i < apart.top().count(); ++i)
    ASSERT_EQ(apart.top().cpu_data()[i], together.top().cpu_data()[i]);
}

TEST(Deconvolution, OfAnyNumberOfAxesIsTheDefinition) {
  expect_top(
      "type: 'Deconvolution' convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1",
      {2, 3, 3, 2}, {2, 4, 6, 4}, {{6, 4}, {3, 2}, {4, 4}, {2, 2}, {1, 1}, {1, 1}}, 1, true);
  expect_top(
      "type: 'Deconvolution' convolution_param { num_output: 6 kernel_size: 2 stride: 3 "
      "dilation: 2 group: 2",
      {2, 4, 3}, {2, 6, 9}, {{9}, {3}, {2}, {3}, {0}, {2}}, 2, true);
  expect_top(
      "type: 'Deconvolution' convolution_param { num_output: 2 kernel_size: 2 stride: 2 pad: 1 "
      "pad: 0 pad: 0",
      {1, 3, 2, 2, 3}, {1, 2, 2, 4, 6},
      {{2, 4, 6}, {2, 2, 3}, {2, 2, 2}, {2, 2, 2}, {1, 0, 0}, {1, 1, 1}}, 1, true);
}

TEST(DepthwiseConvolution, IsAConvolutionWithAGroupForEachChannel) {
  const std::string parameter = "kernel_size: 3 pad: 1 stride: 2";
  for (const std::string group : {"", " group: 3"})
    expect_top(
        "type: 'DepthwiseConvolution' convolution_param { num_output: 6 " + parameter + group,
        {2, 3, 5, 4}, {2, 6, 3, 2}, {{5, 4}, {3, 2}, {3, 3}, {2, 2}, {1, 1}, {1, 1}}, 3);
}

TEST(Im2col, HoldsWhatEachWindowSees) {
  LayerFixture fixture(
      "type: 'Im2col' convolution_param { kernel_size: 2 stride: 2 stride: 1 pad: 1 dilation: 1 "
      "dilation: 2 }",
      {{2, 3, 4, 3}});
  fixture.forward();
  const Windows windows{{4, 3}, {3, 3}, {2, 2}, {2, 1}, {1, 1}, {1, 2}};
  ASSERT_EQ(fixture.top().shape(), (Shape{2, 12, 3, 3}));
  std::vector<float> expected(fixture.top().count());
  windows.for_each_contact([&](int map, int place, int tap) {
    for (int plane = 0; plane < 6; ++plane)
      expected[(plane * 4 + tap) * 9 + place] = fixture.bottom().cpu_data()[plane * 12 + map];
  });
  for (int i = 0; i < fixture.top().count(); ++i)
    ASSERT_EQ(fixture.top().cpu_data()[i], expected[i]) << "value " << i;
}

TEST(Convolution, ManyThreadsMayNeedMoreThanABlobHolds) {
  const int threads = omp_get_max_threads();
  omp_set_num_threads(100);
  LayerFixture fixture(
      "type: 'Convolution' convolution_param { num_output: 1 kernel_size: 3 pad: 1 "
      "weight_filler { value: 1 } }",
      {{1, 1, 1600, 1600}});
  const std::string error = error_of([&] {
    fixture.bottom().set_data(1);
    fixture.forward();
    fixture.backward();
  });
  omp_set_num_threads(threads);
  EXPECT_EQ(error, "");
  EXPECT_EQ(fixture.top().cpu_data()[1601], 9);
  double around = 0;
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 3; ++column)
      around += fixture.top().cpu_diff()[row * 1600 + column];
  EXPECT_NEAR(fixture.bottom().cpu_diff()[1601], around, 1e-4);
}

TEST(Convolution, EmptyBottomsMakeEmptyTops) {
  for (const char* type : {"Convolution", "Deconvolution"})
    for (const Shape& shape : {Shape{0, 2, 3, 3}, Shape{2, 0, 3, 3}}) {
      LayerFixture fixture("type: '" + std::string(type) +
                               "' convolution_param { num_output: 2 kernel_size: 2 bias_filler { "
                               "value: 3 } }",
                           {shape});
      fixture.forward();
      fixture.backward();
      for (int i = 0; i < fixture.top().count(); ++i)
        ASSERT_EQ(fixture.top().cpu_data()[i], 3) << "no channel, so the bias alone";
    }
}

}  // namespace
}  // namespace vibnet
