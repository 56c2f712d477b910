#include "data/data_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "data/raw_batch.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "support/write_lmdb.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TransformationParameter parse(const std::string& text) {
  TransformationParameter parameter;
  parse_prototxt(text, "test", &parameter);
  return parameter;
}

/// The values as a GPU makes them.
std::vector<float> transform_by_value(const DataTransformer& transformer, const Datum& datum,
                                      const Shape& shape, std::int64_t sample) {
  const bool is_float = datum.data().empty();
  const RawRecord record{0, is_float, datum.height(), datum.width(),
                         transformer.place(datum, shape, sample)};
  const void* bytes = is_float ? static_cast<const void*>(datum.float_data().data())
                               : static_cast<const void*>(datum.data().data());
  const RawTransform by_value{static_cast<const unsigned char*>(bytes),
                              &record,
                              transformer.rule(),
                              shape[0],
                              shape[1],
                              shape[2]};
  std::vector<float> values(count(shape, 0, 3));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = by_value.value(static_cast<int>(i));
  return values;
}

/// By both ways, which must be one to the bit.
std::vector<float> transform(const std::string& text, Phase phase, const Datum& datum,
                             std::int64_t sample = 0) {
  const DataTransformer transformer(parse(text), phase, RandomKey{1});
  const Shape shape = transformer.output_shape(datum);
  std::vector<float> values(count(shape, 0, 3), -1e9f);
  transformer.transform(datum, shape, sample, values.data());
  const std::vector<float> others = transform_by_value(transformer, datum, shape, sample);
  EXPECT_EQ(std::memcmp(values.data(), others.data(), values.size() * sizeof(float)), 0) << text;
  return values;
}

/// 1 x 3 x 3, counting from 1.
Datum counting() { return make_datum(1, 3, 3, "\1\2\3\4\5\6\7\10\11", 0); }

std::string random_bytes(int count) {
  std::string bytes;
  RandomSequence random(RandomKey{2});
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(random.below(256));
  return bytes;
}

std::string write_mean(const TemporaryFolder& folder, const std::vector<int>& shape) {
  BlobProto mean;
  int size = 1;
  for (const int dimension : shape) size *= dimension;
  mean.set_num(shape[0]);
  mean.set_channels(shape[1]);
  mean.set_height(shape[2]);
  mean.set_width(shape[3]);
  for (int i = 0; i < size; ++i) mean.add_data(static_cast<float>(i));
  write_binary(mean, folder / "mean.binaryproto");
  return "mean_file: '" + (folder / "mean.binaryproto") + "'";
}

TEST(DataTransformer, LeavesValuesAsTheyAre) {
  EXPECT_THAT(transform("", TRAIN, make_datum(1, 1, 3, "\1\2\xff", 0)), ElementsAre(1, 2, 255));
}

TEST(DataTransformer, ReadsFloats) {
  Datum datum = make_datum(1, 1, 2, "", 0);
  datum.add_float_data(-1.5f);
  datum.add_float_data(4);
  EXPECT_THAT(transform("mean_value: 1 scale: 2", TEST, datum), ElementsAre(-5, 6));
}

TEST(DataTransformer, TakesTheMeanOffAndThenScales) {
  const Datum datum = make_datum(2, 1, 2, "\1\2\3\4", 0);
  EXPECT_THAT(transform("mean_value: 1 scale: 0.5", TEST, datum), ElementsAre(0, 0.5, 1, 1.5));
  EXPECT_THAT(transform("mean_value: 1 mean_value: 3", TEST, datum), ElementsAre(0, 1, 0, 1));
}

TEST(DataTransformer, TakesAMeanFileOffWhereTheCropLies) {
  const TemporaryFolder folder;
  const std::string mean = write_mean(folder, {1, 1, 3, 3});
  EXPECT_THAT(transform(mean, TEST, make_datum(1, 3, 3, std::string(9, '\12'), 0)),
              ElementsAre(10, 9, 8, 7, 6, 5, 4, 3, 2));
  EXPECT_THAT(transform(mean + " crop_size: 1", TEST, make_datum(1, 3, 3, std::string(9, 4), 0)),
              ElementsAre(0));
}

TEST(DataTransformer, ReadsAMeanFileInAnyOfCaffesForms) {
  const TemporaryFolder folder;
  const auto with = [&](const BlobProto& mean) {
    write_binary(mean, folder / "mean.binaryproto");
    return transform("mean_file: '" + (folder / "mean.binaryproto") + "'", TEST,
                     make_datum(1, 1, 3, "\5\6\7", 0));
  };
  BlobProto old;  // 1 x 1 x 1 x 3, floats
  old.set_num(1);
  old.set_channels(1);
  old.set_height(1);
  old.set_width(3);
  for (const float value : {1.5f, 2.5f, 3.5f}) old.add_data(value);
  EXPECT_THAT(with(old), ElementsAre(3.5, 3.5, 3.5));
  for (const std::vector<int>& dimensions : {std::vector<int>{1, 1, 1, 3}, {1, 1, 3}}) {
    BlobProto shaped;
    for (const int dimension : dimensions) shaped.mutable_shape()->add_dim(dimension);
    for (const double value : {1.5, 2.5, 3.5}) shaped.add_double_data(value);
    EXPECT_THAT(with(shaped), ElementsAre(3.5, 3.5, 3.5));
  }
  old.mutable_data()->RemoveLast();
  EXPECT_THAT(error_of([&] { with(old); }), HasSubstr("2 "));
  EXPECT_THAT(error_of([&] { with(BlobProto()); }), HasSubstr("mean.binaryproto"));
  folder.write("text", "this is no binaryproto");
  EXPECT_THAT(
      error_of([&] { transform("mean_file: '" + (folder / "text") + "'", TEST, counting()); }),
      HasSubstr(folder / "text"));
}

TEST(DataTransformer, CropsTheMiddleInTest) {
  EXPECT_THAT(transform("crop_size: 1", TEST, counting()), ElementsAre(5));
  EXPECT_THAT(transform("crop_size: 2", TEST, counting()), ElementsAre(1, 2, 4, 5));
}

TEST(DataTransformer, PadsWithRawZerosBeforeTheMean) {
  const Datum datum = make_datum(1, 1, 2, "\5\6", 0);
  EXPECT_THAT(transform("pad: 1 mean_value: 1", TEST, datum),
              ElementsAre(-1, -1, -1, -1, -1, 4, 5, -1, -1, -1, -1, -1));
}

TEST(DataTransformer, PadsWithZeroWhereAMeanFileEnds) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      transform("pad: 1 " + write_mean(folder, {1, 1, 1, 1}), TEST, make_datum(1, 1, 1, "\5", 0)),
      ElementsAre(0, 0, 0, 0, 5, 0, 0, 0, 0));
}

TEST(DataTransformer, CropsAfterThePadding) {
  EXPECT_THAT(transform("pad: 2 crop_size: 3", TEST, counting()),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  // Each of the 9 places of a 3 x 3 crop in the 5 x 5 padded record, by its middle value's place.
  std::map<float, int> middles;
  for (int sample = 0; sample < 900; ++sample) {
    const auto values = transform("pad: 1 crop_size: 3", TRAIN, counting(), sample);
    ++middles[values[4]];
    const bool is_at_the_left_edge = values[4] == 1 || values[4] == 4 || values[4] == 7;
    ASSERT_EQ(values[3] == 0, is_at_the_left_edge);
    if (!is_at_the_left_edge) {
      ASSERT_EQ(values[3], values[4] - 1);
    }
  }
  EXPECT_EQ(middles.size(), 9u);
  for (const auto& [middle, times] : middles) EXPECT_GT(times, 60);
}

TEST(DataTransformer, MirrorsHalfOfTheSamplesInTrainAndNoneInTest) {
  const Datum datum = make_datum(1, 1, 3, "\1\2\3", 0);
  int mirrored = 0;
  for (int sample = 0; sample < 1000; ++sample) {
    const auto values = transform("mirror: true", TRAIN, datum, sample);
    const bool is_mirrored = values == std::vector<float>{3, 2, 1};
    ASSERT_TRUE(is_mirrored || values == (std::vector<float>{1, 2, 3}));
    mirrored += is_mirrored ? 1 : 0;
    ASSERT_THAT(transform("mirror: true", TEST, datum, sample), ElementsAre(1, 2, 3));
  }
  EXPECT_NEAR(mirrored, 500, 80);
}

TEST(DataTransformer, MirrorsThePaddingToo) {
  const Datum datum = make_datum(1, 1, 2, "\1\2", 0);
  bool was_mirrored = false;
  for (int sample = 0; sample < 200; ++sample) {
    const auto values = transform("pad: 1 crop_size: 3 mirror: true", TRAIN, datum, sample);
    was_mirrored |=
        std::vector<float>(values.begin() + 3, values.begin() + 6) == std::vector<float>{2, 1, 0};
  }
  EXPECT_TRUE(was_mirrored);
}

/// Where a pixel has a mean of its own, and several channels have theirs; transform() compares.
TEST(DataTransformer, TakesTheRightMeanOffMirroredAndPaddedCrops) {
  const TemporaryFolder folder;
  const Datum datum = make_datum(3, 4, 5, random_bytes(3 * 4 * 5), 0);
  for (const std::string& means :
       {write_mean(folder, {1, 3, 4, 5}),
        std::string("mean_value: 104.3 mean_value: 116.7 mean_value: 122.9")})
    for (const char* place : {"", "crop_size: 3", "pad: 2", "pad: 3 crop_size: 4"})
      for (int sample = 0; sample < 50; ++sample)
        transform(means + " mirror: true scale: -0.017 " + place, TRAIN, datum, sample);
}

TEST(DataTransformer, DrawsTheSameForTheSameSample) {
  for (int sample = 0; sample < 20; ++sample)
    EXPECT_EQ(transform("pad: 3 crop_size: 3 mirror: true", TRAIN, counting(), sample),
              transform("pad: 3 crop_size: 3 mirror: true", TRAIN, counting(), sample));
}

TEST(DataTransformer, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    return error_of([&] { transform(text, TEST, counting()); });
  };
  EXPECT_THAT(error("crop_size: 4"), HasSubstr("crop_size: 4 is larger"));
  EXPECT_THAT(error("crop_size: 4000000000"), HasSubstr("is larger"));
  EXPECT_THAT(error("pad: 4000000000"), HasSubstr("pad: 4000000000 is over"));
  EXPECT_THAT(error("mean_value: 1 mean_value: 2"), HasSubstr("2 mean_value for 1 channels"));
  EXPECT_THAT(error("mean_file: '/missing/mean'"), HasSubstr("/missing/mean: cannot be read"));
  EXPECT_THAT(error(write_mean(folder, {1, 1, 2, 2})), HasSubstr("the mean file"));
  EXPECT_THAT(error(write_mean(folder, {1, 1, 9, 1})), HasSubstr("the records are 1x3x3"));
  EXPECT_THAT(error("mean_value: 1 " + write_mean(folder, {1, 1, 3, 3})), HasSubstr("give one"));
}

}  // namespace
}  // namespace vibnet
