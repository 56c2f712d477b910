#include "data/datum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/image.h"
#include "support/error_of.h"
#include "support/write_lmdb.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string error_for(const std::string& bytes) {
  return error_of([&] {
    Datum datum;
    read_datum({"00000007", bytes}, {}, "a.lmdb", &datum);
  });
}

TEST(Datum, ReadsBytesAndFloats) {
  Datum datum;
  const std::string bytes = make_datum(1, 2, 1, "ab", 3).SerializeAsString();
  read_datum({"0", bytes}, {}, "a.lmdb", &datum);
  EXPECT_EQ(datum.data(), "ab");
  EXPECT_EQ(datum.label(), 3);
  Datum floats = make_datum(1, 1, 1, "", -1);
  floats.add_float_data(0.5f);
  const std::string float_bytes = floats.SerializeAsString();
  read_datum({"0", float_bytes}, {}, "a.lmdb", &datum);
  EXPECT_EQ(datum.float_data(0), 0.5f);
  EXPECT_TRUE(datum.data().empty());
}

TEST(Datum, NamesTheRecordThatIsNone) {
  EXPECT_EQ(error_for(""), "a.lmdb: record '00000007' is no Datum");
  EXPECT_EQ(error_for("\xff\xff\xff"), "a.lmdb: record '00000007' is no Datum");
  const std::string whole = make_datum(1, 2, 2, "abcd", 3).SerializeAsString();
  EXPECT_EQ(error_for(whole.substr(0, 8)), "a.lmdb: record '00000007' is no Datum");
}

TEST(Datum, RefusesValuesThatDoNotFillItsSize) {
  const auto error = [](int channels, int height, int width, const std::string& bytes) {
    return error_for(make_datum(channels, height, width, bytes, 0).SerializeAsString());
  };
  EXPECT_THAT(error(1, 2, 2, "abc"), HasSubstr("it states 1x2x2, and holds 3 values"));
  EXPECT_THAT(error(1, 2, 2, ""), HasSubstr("holds 0 values"));
  EXPECT_THAT(error(0, 2, 2, ""), HasSubstr("it states 0x2x2"));
  EXPECT_THAT(error(-1, -2, 2, "abcd"), HasSubstr("it states -1x-2x2"));
  EXPECT_THAT(error(2000000000, 2000000000, 2000000000, "a"), HasSubstr("holds 1 values"));
}

class EncodedDatumTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string error = error_of([] { resize_image({1, 1, 1, "a"}, 1, 1); });
    if (error.find("WITH_OPENCV") != std::string::npos) GTEST_SKIP() << error;
  }

  /// A picture of 4 x 6 pixels, all of one colour, as a record read with these fields.
  static Datum read(const std::string& color, const std::string& fields) {
    Image image{static_cast<int>(color.size()), 4, 6, {}};
    for (const char value : color) image.pixels += std::string(24, value);
    Datum datum;
    datum.set_encoded(true);
    datum.set_label(3);
    datum.set_channels(9);  // what an encoded record states is not its picture's size
    datum.set_data(encode_image(image, GetParam()));
    const std::string bytes = datum.SerializeAsString();
    TransformationParameter transform;
    parse_prototxt(fields, "test", &transform);
    Datum decoded;
    read_datum({"00000007", bytes}, transform, "a.lmdb", &decoded);
    EXPECT_EQ(decoded.label(), 3);
    EXPECT_EQ(decoded.height(), 4);
    EXPECT_EQ(decoded.width(), 6);
    EXPECT_FALSE(decoded.encoded());
    EXPECT_EQ(decoded.data().size(), static_cast<std::size_t>(24 * decoded.channels()));
    return decoded;
  }

  /// The first pixel of each channel, which JPEG may move by 3.
  static void expect_color(const Datum& datum, const std::vector<int>& color) {
    ASSERT_EQ(datum.channels(), static_cast<int>(color.size()));
    for (std::size_t c = 0; c < color.size(); ++c)
      EXPECT_NEAR(static_cast<unsigned char>(datum.data()[24 * c]), color[c], 3);
  }
};

TEST_P(EncodedDatumTest, IsDecodedAsItIsStored) {
  expect_color(read("\x20\x40\x60", ""), {0x20, 0x40, 0x60});
  expect_color(read("\x40", ""), {0x40});
}

TEST_P(EncodedDatumTest, ForceColorAndForceGraySetTheChannels) {
  expect_color(read("\x40", "force_color: true"), {0x40, 0x40, 0x40});
  expect_color(read("\x20\x40\x60", "force_color: true"), {0x20, 0x40, 0x60});
  expect_color(read("\x20\x40\x60", "force_gray: true"), {70});  // 0.114 B, 0.587 G, 0.299 R
  EXPECT_THAT(error_of([] { read("\x40", "force_gray: true force_color: true"); }),
              HasSubstr("force_color and force_gray are both set"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, EncodedDatumTest, ::testing::Values(".png", ".jpg"),
                         [](const auto& info) { return std::string(info.param).substr(1); });

TEST(Datum, ForceColorIsNothingToRawBytes) {
  TransformationParameter transform;
  transform.set_force_color(true);
  const std::string bytes = make_datum(1, 2, 1, "ab", 3).SerializeAsString();
  Datum datum;
  read_datum({"0", bytes}, transform, "a.lmdb", &datum);
  EXPECT_EQ(datum.channels(), 1);
}

TEST(Datum, NamesTheRecordWhosePictureIsNone) {
  Datum datum;
  datum.set_encoded(true);
  datum.set_data("no picture");
  EXPECT_THAT(error_for(datum.SerializeAsString()), StartsWith("a.lmdb: record '00000007'"));
}

}  // namespace
}  // namespace vibnet
