#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using testing::ElementsAre;

/// The top for one 4 x 4 plane of 0, 1, 2, ...
std::vector<float> pool(const std::string& parameter) {
  LayerFixture fixture("type: 'Pooling' pooling_param { " + parameter + " }", {{1, 1, 4, 4}});
  std::iota(fixture.bottom().mutable_cpu_data(), fixture.bottom().mutable_cpu_data() + 16, 0.0f);
  fixture.forward();
  const Blob& top = fixture.top();
  return {top.cpu_data(), top.cpu_data() + top.count()};
}

TEST(Pooling, NoWindowStartsBehindThePlane) {
  for (const std::string method : {"pool: MAX ", "pool: AVE "}) {
    EXPECT_THAT(pool(method + "kernel_size: 1 stride: 2"), ElementsAre(0, 2, 8, 10));
    EXPECT_THAT(pool(method + "kernel_size: 1 stride: 3"), ElementsAre(0, 3, 12, 15));
    EXPECT_THAT(pool(method + "kernel_size: 1 stride: 1000"), ElementsAre(0));
  }
}

TEST(Pooling, TheKernelMayReachBeyondThePlaneByLessThanAStride) {
  EXPECT_THAT(pool("kernel_size: 5 stride: 2"), ElementsAre(15));
  EXPECT_THAT(pool("pool: AVE kernel_size: 5 stride: 2"), ElementsAre(7.5f));
}

TEST(Pooling, SizesRoundUpOrDown) {
  EXPECT_THAT(pool("kernel_size: 3 stride: 2"), ElementsAre(10, 11, 14, 15));
  EXPECT_THAT(pool("kernel_size: 3 stride: 2 round_mode: FLOOR"), ElementsAre(10));
}

TEST(Pooling, NamesWhatItCannotDo) {
  const auto error = [](const std::string& parameter) {
    return error_of([&] { pool(parameter); });
  };
  EXPECT_EQ(error("stride: 2"), "layer 'layer' (Pooling): kernel_size is missing or 0");
  EXPECT_EQ(error("kernel_size: 2 pad: 2"),
            "layer 'layer' (Pooling): pad must be smaller than the kernel");
  EXPECT_EQ(error("kernel_size: 2 pad: 4000000000"),
            "layer 'layer' (Pooling): pad: 4000000000 is too large");
  EXPECT_EQ(error("kernel_size: 5"),
            "layer 'layer' (Pooling): the kernel, 5x5, is larger than the padded bottom, "
            "1x1x4x4 (16)");
  EXPECT_EQ(error("kernel_size: 2 stride: 0"), "layer 'layer' (Pooling): stride cannot be 0");
  EXPECT_EQ(error("global_pooling: true kernel_size: 2"),
            "layer 'layer' (Pooling): global_pooling takes no kernel_size");
}

}  // namespace
}  // namespace vibnet
