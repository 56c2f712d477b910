#include <gtest/gtest.h>

#include <string>

#include "support/layer_fixture.h"

namespace vibnet {
namespace {

Shape flattened(const std::string& parameter) {
  LayerFixture fixture("type: 'Flatten' flatten_param { " + parameter + " }", {{2, 3, 4, 5}});
  fixture.forward();
  for (int i = 0; i < fixture.bottom().count(); ++i)
    EXPECT_EQ(fixture.top().cpu_data()[i], fixture.bottom().cpu_data()[i]);
  return fixture.top().shape();
}

TEST(Flatten, JoinsTheAxesFromAxisToEndAxis) {
  EXPECT_EQ(flattened(""), Shape({2, 60}));
  EXPECT_EQ(flattened("axis: 0"), Shape({120}));
  EXPECT_EQ(flattened("axis: 1 end_axis: 2"), Shape({2, 12, 5}));
  EXPECT_EQ(flattened("axis: -2 end_axis: -1"), Shape({2, 3, 20}));
  EXPECT_EQ(flattened("axis: 2 end_axis: 2"), Shape({2, 3, 4, 5}));
}

}  // namespace
}  // namespace vibnet
