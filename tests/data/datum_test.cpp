#include "data/datum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/error_of.h"
#include "support/write_lmdb.h"

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

TEST(Datum, NamesTheRecordWhosePictureIsNone) {
  Datum datum;
  datum.set_encoded(true);
  datum.set_data("no picture");
  EXPECT_THAT(error_for(datum.SerializeAsString()), StartsWith("a.lmdb: record '00000007'"));
}

}  // namespace
}  // namespace vibnet
