#include <gtest/gtest.h>

#include <string>

#include "support/layer_fixture.h"

namespace vibnet {
namespace {

/// Compares the top with sums over the inputs, for a bottom of 2 x 3 x 4.
void check(const std::string& parameter, const Shape& top, bool is_transposed, bool has_bias) {
  SCOPED_TRACE(parameter);
  LayerFixture fixture("type: 'InnerProduct' inner_product_param { num_output: 5 " + parameter +
                           " weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }",
                       {{2, 3, 4}});
  fixture.forward();
  ASSERT_EQ(fixture.top().shape(), top);
  ASSERT_EQ(fixture.layer().blobs().size(), has_bias ? 2u : 1u);
  const int rows = fixture.top().count() / 5;
  const int inputs = 24 / rows;
  const Blob& weights = *fixture.layer().blobs()[0];
  ASSERT_EQ(weights.shape(), is_transposed ? Shape({inputs, 5}) : Shape({5, inputs}));
  for (int row = 0; row < rows; ++row)
    for (int output = 0; output < 5; ++output) {
      double sum = has_bias ? fixture.layer().blobs()[1]->cpu_data()[output] : 0;
      for (int input = 0; input < inputs; ++input)
        sum += double{fixture.bottom().cpu_data()[row * inputs + input]} *
               weights.cpu_data()[is_transposed ? input * 5 + output : output * inputs + input];
      ASSERT_NEAR(fixture.top().cpu_data()[row * 5 + output], sum, 1e-5);
    }
}

TEST(InnerProduct, SumsTheInputsFromItsAxisOn) {
  check("", {2, 5}, false, true);
  check("axis: 2", {2, 3, 5}, false, true);
  check("axis: -1 bias_term: false", {2, 3, 5}, false, false);
  check("axis: 0", {5}, false, true);
  check("transpose: true", {2, 5}, true, true);
  check("transpose: true axis: 2 bias_term: false", {2, 3, 5}, true, false);
}

}  // namespace
}  // namespace vibnet
