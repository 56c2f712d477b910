// BatchReindex, Embed, Filter and Parameter.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_cases.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using testing::Each;
using testing::ElementsAre;

void set(const std::vector<float>& values, Blob* blob) {
  ASSERT_EQ(static_cast<int>(values.size()), blob->count());
  std::copy(values.begin(), values.end(), blob->mutable_cpu_data());
}

std::vector<float> data(const Blob& blob) {
  return {blob.cpu_data(), blob.cpu_data() + blob.count()};
}

[[maybe_unused]] const bool kGradientsAdded = add_gradient_cases({
    {"BatchReindex",
     "type: 'BatchReindex'",
     {{3, 2}, {5}},
     1,
     kSmooth,
     [](LayerFixture* fixture) {
       set({2, 0, 2, 2, 1}, &fixture->bottom(1));
     }},
    {"Embed",
     "type: 'Embed' embed_param { num_output: 3 input_dim: 4 weight_filler { type: 'gaussian' } "
     "bias_filler { type: 'gaussian' } }",
     {{2, 3}},
     1,
     kSmooth,
     [](LayerFixture* fixture) {
       set({2, 0, 2, 3, 1, 2}, &fixture->bottom());
     }},
    {"Filter",
     "type: 'Filter'",
     {{4, 3}, {4, 2, 2}, {4, 1}},
     2,
     kSmooth,
     [](LayerFixture* fixture) {
       set({0, 1, 0, -2}, &fixture->bottom(2));
     }},
    {"Parameter", "type: 'Parameter' parameter_param { shape { dim: 2 dim: 3 } }", {}},
});

[[maybe_unused]] const bool kWrongAdded = add_wrong_cases({
    {"BatchReindexIndices", "type: 'BatchReindex'", {{3, 2}, {2, 2}}, "a list of indices"},
    {"EmbedNoInput", "type: 'Embed' embed_param { num_output: 3 }", {{2}}, "input_dim is missing"},
    {"EmbedNoOutput", "type: 'Embed' embed_param { input_dim: 3 }", {{2}}, "num_output is missing"},
    {"EmbedSize",
     "type: 'Embed' embed_param { input_dim: 4294967295 num_output: 1 }",
     {{2}},
     "input_dim: 4294967295 is too large"},
    {"FilterSelector", "type: 'Filter'", {{4, 3}, {4, 2}}, "the selector must be N x 1"},
    {"FilterSamples", "type: 'Filter'", {{3, 3}, {4}}, "the selector is for 4 samples"},
    {"FilterTops", "type: 'Filter'", {{4}, {4}, {4}}, "needs a bottom for each of the 1 tops"},
    {"ParameterShape",
     "type: 'Parameter' parameter_param { shape { dim: -1 } }",
     {},
     "dimension cannot be -1"},
});

TEST(BatchReindex, TakesTheSamplesThatAreNamed) {
  LayerFixture fixture("type: 'BatchReindex'", {{3, 2}, {4}});
  set({0, 1, 2, 3, 4, 5}, &fixture.bottom());
  set({2, 2, 0, 1}, &fixture.bottom(1));
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), (Shape{4, 2}));
  EXPECT_THAT(data(fixture.top()), ElementsAre(4, 5, 4, 5, 0, 1, 2, 3));
}

TEST(BatchReindex, RefusesWhatIsNoSample) {
  LayerFixture fixture("type: 'BatchReindex'", {{3, 2}, {1}});
  for (const float index : {-1.0f, 3.0f, std::nanf("")}) {
    set({index}, &fixture.bottom(1));
    EXPECT_NE(error_of([&] { fixture.forward(); }).find("is not one of the 3 samples"),
              std::string::npos);
  }
}

TEST(Embed, LooksIndicesUp) {
  LayerFixture fixture(
      "type: 'Embed' embed_param { num_output: 2 input_dim: 3 bias_filler { value: 10 } }",
      {{2, 1}});
  set({0, 1, 2, 3, 4, 5}, fixture.layer().blobs()[0].get());
  set({2, 0}, &fixture.bottom());
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), (Shape{2, 1, 2}));
  EXPECT_THAT(data(fixture.top()), ElementsAre(14, 15, 10, 11));
  for (const float index : {-1.0f, 3.0f, std::nanf("")}) {
    fixture.bottom().set_data(index);
    EXPECT_NE(error_of([&] { fixture.forward(); }).find("is not below the input_dim of 3"),
              std::string::npos);
  }
}

TEST(Embed, MayDoWithoutBias) {
  LayerFixture fixture("type: 'Embed' embed_param { num_output: 2 input_dim: 3 bias_term: false }",
                       {{1}});
  fixture.bottom().set_data(1);
  EXPECT_EQ(fixture.layer().blobs().size(), 1u);
  set({0, 1, 2, 3, 4, 5}, fixture.layer().blobs()[0].get());
  fixture.forward();
  EXPECT_THAT(data(fixture.top()), ElementsAre(2, 3));
}

TEST(Filter, PassesWhatIsSelected) {
  LayerFixture fixture("type: 'Filter'", {{3, 2}, {3}, {3, 1}}, 2);
  set({0, 1, 2, 3, 4, 5}, &fixture.bottom());
  set({6, 7, 8}, &fixture.bottom(1));
  set({1, 0, 0.5f}, &fixture.bottom(2));
  fixture.forward();
  EXPECT_EQ(fixture.top().shape(), (Shape{2, 2}));
  EXPECT_THAT(data(fixture.top()), ElementsAre(0, 1, 4, 5));
  EXPECT_THAT(data(fixture.top(1)), ElementsAre(6, 8));
}

NetParameter net_of(const char* text) {
  NetParameter net;
  parse_prototxt(text, "test", &net);
  return net;
}

TEST(Filter, ChangesTheSizeOfWhatFollowsBatchByBatch) {
  Net net(net_of("force_backward: true "
                 "layer { name: 'in' type: 'Input' top: 'x' top: 'selector' "
                 "  input_param { shape { dim: 3 dim: 2 } shape { dim: 3 } } } "
                 "layer { name: 'filter' type: 'Filter' bottom: 'x' bottom: 'selector' top: 'y' } "
                 "layer { name: 'fc' type: 'InnerProduct' bottom: 'y' top: 'z' "
                 "  inner_product_param { num_output: 4 } }"),
          {TRAIN, {}, 0, 0, {}});
  EXPECT_EQ(net.blob("z")->shape(), (Shape{3, 4})) << "before there is data";
  for (const int passed : {2, 0, 3}) {
    for (int n = 0; n < 3; ++n) net.blob("selector")->mutable_cpu_data()[n] = n < passed;
    net.blob("x")->set_diff(7);
    net.forward();
    EXPECT_EQ(net.blob("z")->shape(), (Shape{passed, 4}));
    net.blob("z")->set_diff(1);
    net.backward();
    for (int n = passed; n < 3; ++n)
      EXPECT_EQ(net.blob("x")->cpu_diff()[2 * n], 0) << passed << " of 3 pass";
  }
}

TEST(Parameter, IsALearnedTop) {
  Net net(net_of("layer { name: 'p' type: 'Parameter' top: 'p' "
                 "  parameter_param { shape { dim: 3 } } } "
                 "layer { name: 'sum' type: 'Reduction' bottom: 'p' top: 'sum' loss_weight: 2 "
                 "  reduction_param { operation: SUMSQ } }"),
          {TRAIN, {}, 0, 0, {}});
  ASSERT_EQ(net.parameters().size(), 1u);
  Blob& parameter = *net.parameters()[0].blob;
  EXPECT_THAT(data(parameter), Each(0));
  parameter.set_data(1.5f);
  EXPECT_FLOAT_EQ(net.forward(), 2 * 3 * 2.25f);
  net.clear_gradients();
  net.backward();
  net.backward();
  EXPECT_FLOAT_EQ(parameter.cpu_diff()[1], 2 * (2 * 2 * 1.5f)) << "gradients add up";
}

}  // namespace
}  // namespace vibnet
