#include "vibnet/blob.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/error_of.h"
#include "vibnet.pb.h"

namespace vibnet {
namespace {

TEST(Blob, StartsAsZeros) {
  Blob blob({2, 3});
  EXPECT_EQ(blob.count(), 6);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(blob.cpu_data()[i], 0);
    EXPECT_EQ(blob.cpu_diff()[i], 0);
  }
}

TEST(Blob, CountsAxesFromEitherEnd) {
  const Blob blob({2, 3, 4});
  EXPECT_EQ(blob.shape(-1), 4);
  EXPECT_EQ(blob.count(1), 12);
  EXPECT_EQ(blob.count(0, 2), 6);
  EXPECT_EQ(Blob(Shape{}).count(), 1);
  EXPECT_NE(error_of([&] { blob.canonical_axis(3); }).find("out of range"), std::string::npos);
}

TEST(Blob, KeepsItsMemoryWhenItShrinks) {
  Blob blob({4, 4});
  const float* data = blob.cpu_data();
  blob.reshape({2, 4});
  EXPECT_EQ(blob.cpu_data(), data);
  blob.reshape({40, 4});  // perhaps where the smaller was
  EXPECT_EQ(blob.mutable_cpu_data()[159], 0);
}

TEST(Blob, RefusesImpossibleShapes) {
  EXPECT_NE(error_of([] { Blob({2, -1}); }), "");
  EXPECT_NE(error_of([] { Blob({1 << 16, 1 << 16}); }).find("2^31"), std::string::npos);
  EXPECT_EQ(Blob(Shape(32, 1)).axes(), 32);
  EXPECT_EQ(error_of([] { Blob(Shape(33, 1)); }), "a blob has at most 32 axes, and 33 are given");
}

TEST(Blob, SharesDataAndDiff) {
  Blob a({3});
  Blob b({3});
  b.share_data(a);
  a.set_data(5);
  EXPECT_EQ(b.cpu_data()[2], 5);
  EXPECT_EQ(b.cpu_diff()[2], 0);
}

TEST(Blob, AClearDiffIsWrittenAndThenAddedTo) {
  Blob blob({3});
  blob.set_diff(7);
  blob.clear_diff();
  EXPECT_EQ(blob.cpu_diff()[2], 0);
  EXPECT_TRUE(blob.cpu_diff_sum().adds);
  blob.clear_diff();
  const DiffSum first = blob.cpu_diff_sum();
  EXPECT_FALSE(first.adds);
  std::fill_n(first.values, 3, 2.0f);
  const DiffSum second = blob.cpu_diff_sum();
  EXPECT_TRUE(second.adds);
  EXPECT_EQ(second.values[2], 2);
}

TEST(Blob, PassesThroughAProto) {
  Blob blob({2, 2});
  blob.set_data(1.5f);
  blob.set_diff(-2);
  BlobProto proto;
  blob.to_proto(&proto, true);
  Blob read;
  read.from_proto(proto);
  EXPECT_EQ(read.shape(), blob.shape());
  EXPECT_EQ(read.cpu_data()[3], 1.5f);
  EXPECT_EQ(read.cpu_diff()[3], -2);
}

TEST(Blob, ReadsCaffesOldFormAndDoubles) {
  BlobProto proto;
  proto.set_num(1);
  proto.set_channels(2);
  proto.set_height(1);
  proto.set_width(2);
  for (int i = 0; i < 4; ++i) proto.add_double_data(i);
  Blob blob;
  blob.from_proto(proto);
  EXPECT_EQ(blob.shape(), (Shape{1, 2, 1, 2}));
  EXPECT_EQ(blob.cpu_data()[3], 3);
  proto.add_double_data(4);
  EXPECT_NE(error_of([&] { blob.from_proto(proto); }).find("holds 5"), std::string::npos);
}

}  // namespace
}  // namespace vibnet
