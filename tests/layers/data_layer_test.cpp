#include "layers/data_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "data/image.h"
#include "support/error_of.h"
#include "support/paths.h"
#include "support/temporary_folder.h"
#include "support/write_lmdb.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A Data layer over a database of its own, with the blobs and the context that a net would hold.
struct Source {
  Source(const std::string& path, const std::string& fields, Phase phase = TRAIN,
         std::uint64_t seed = 1, const Device& device = Device()) {
    LayerParameter parameter;
    parse_prototxt("name: 'data' type: 'Data' " + fields, "test", &parameter);
    parameter.mutable_data_param()->set_source(path);
    parameter.mutable_data_param()->set_backend(DataParameter::LMDB);
    context.phase = phase;
    context.seed = seed;
    context.device = device;
    use_device(device);
    layer = std::make_unique<DataLayer>(parameter, context);
    layer->set_up({}, tops);
    layer->reshape({}, tops);
  }

  std::vector<float> labels(std::int64_t batch) {
    context.iteration = batch;
    layer->forward({}, tops);
    EXPECT_EQ(data.shape(0), label.count());
    return {label.cpu_data(), label.cpu_data() + label.count()};
  }

  /// The labels of these batches, one after another.
  std::vector<float> labels(std::int64_t begin, std::int64_t end) {
    std::vector<float> all;
    for (std::int64_t batch = begin; batch < end; ++batch) {
      const auto some = labels(batch);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  Context context;
  Blob data;
  Blob label;
  Blobs tops = {&data, &label};
  std::unique_ptr<DataLayer> layer;
};

class DataLayerTest : public ::testing::Test {
 protected:
  /// Records whose label is their number and whose one pixel is ten times that.
  void SetUp() override {
    std::vector<Datum> datums;
    for (int i = 0; i < kRecords; ++i)
      datums.push_back(make_datum(1, 1, 1, std::string(1, static_cast<char>(10 * i)), i));
    write_lmdb(path_, datums);
  }

  static std::string set_up_error(const std::string& path, const std::string& fields) {
    return error_of([&] { Source source(path, fields); });
  }

  static constexpr int kRecords = 10;
  TemporaryFolder folder_;
  const std::string path_ = folder_ / "records.lmdb";
};

TEST_F(DataLayerTest, ReadsInKeyOrderAroundTheEnd) {
  Source source(path_, "data_param { batch_size: 4 } transform_param { scale: 0.1 }");
  EXPECT_EQ(source.data.shape(), (Shape{4, 1, 1, 1}));
  EXPECT_EQ(source.label.shape(), (Shape{4}));
  EXPECT_THAT(source.labels(0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(source.labels(1), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(source.labels(2), ElementsAre(8, 9, 0, 1));
  EXPECT_THAT(source.labels(3), ElementsAre(2, 3, 4, 5));
  for (int i = 0; i < 4; ++i)
    EXPECT_FLOAT_EQ(source.data.cpu_data()[i], source.label.cpu_data()[i]);
}

TEST_F(DataLayerTest, LabelsMayBeLeftOut) {
  Source source(path_, "data_param { batch_size: 2 }");
  source.tops.pop_back();
  source.layer->forward({}, source.tops);
  EXPECT_THAT(std::vector<float>(source.data.cpu_data(), source.data.cpu_data() + 2),
              ElementsAre(0, 10));
}

TEST_F(DataLayerTest, PassesOfAnIterationReadOn) {
  Source source(path_, "data_param { batch_size: 2 }");
  source.context.passes = 2;
  source.context.pass = 1;
  EXPECT_THAT(source.labels(1), ElementsAre(6, 7));
}

TEST_F(DataLayerTest, ABatchMayBeLargerThanTheDatabase) {
  Source source(path_, "data_param { batch_size: 25 shuffle: true }");
  auto labels = source.labels(0);
  for (int epoch = 0; epoch < 2; ++epoch)
    EXPECT_EQ(std::set<float>(labels.begin() + epoch * 10, labels.begin() + epoch * 10 + 10).size(),
              10u);
}

TEST_F(DataLayerTest, ShufflesEachEpochAnewFromTheSeed) {
  const std::string fields = "data_param { batch_size: 3 shuffle: true }";
  const auto labels = Source(path_, fields).labels(0, 100);
  std::set<std::vector<float>> orders;
  for (int epoch = 0; epoch < 30; ++epoch) {
    std::vector<float> order(labels.begin() + epoch * kRecords,
                             labels.begin() + (epoch + 1) * kRecords);
    orders.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
  EXPECT_EQ(orders.size(), 30u);
  EXPECT_EQ(Source(path_, fields).labels(0, 100), labels);
  EXPECT_NE(Source(path_, fields, TRAIN, 2).labels(0, 100), labels);
}

TEST_F(DataLayerTest, AResumedRunReadsOnWhereItWas) {
  const std::string fields =
      "data_param { batch_size: 3 shuffle: true }"
      "transform_param { mirror: true pad: 2 crop_size: 1 }";
  Source whole(path_, fields);
  for (int batch = 0; batch < 17; ++batch) whole.labels(batch);
  Source resumed(path_, fields);
  for (int batch = 17; batch < 30; ++batch) {
    EXPECT_EQ(whole.labels(batch), resumed.labels(batch));
    EXPECT_TRUE(
        std::equal(whole.data.cpu_data(), whole.data.cpu_data() + 3, resumed.data.cpu_data()));
  }
}

TEST_F(DataLayerTest, StartsOverWhereAnotherBatchIsAskedFor) {
  for (const char* shuffle : {"false", "true"}) {
    const std::string fields =
        std::string("data_param { batch_size: 3 prefetch: 5 shuffle: ") + shuffle + " }";
    const auto expected = Source(path_, fields).labels(0, 12);
    Source source(path_, fields);
    for (int pass = 0; pass < 3; ++pass) {
      const auto labels = source.labels(0, 7);
      EXPECT_TRUE(std::equal(labels.begin(), labels.end(), expected.begin()));
    }
    EXPECT_TRUE(std::equal(expected.begin() + 33, expected.end(), source.labels(11).begin()));
    EXPECT_TRUE(std::equal(expected.begin() + 12, expected.begin() + 15, source.labels(4).begin()));
  }
}

TEST_F(DataLayerTest, SkipsADrawnNumberOfRecordsOnce) {
  std::set<float> firsts;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Source source(path_, "data_param { batch_size: 3 rand_skip: 4 }", TRAIN, seed);
    const auto labels = source.labels(0, 10);
    firsts.insert(labels[0]);
    for (std::size_t i = 0; i < labels.size(); ++i)
      ASSERT_EQ(labels[i], static_cast<int>(labels[0] + static_cast<float>(i)) % kRecords);
    Source resumed(path_, "data_param { batch_size: 3 rand_skip: 4 }", TRAIN, seed);
    const auto rest = resumed.labels(7, 10);
    ASSERT_TRUE(std::equal(rest.begin(), rest.end(), labels.begin() + 21));
  }
  EXPECT_THAT(firsts, ElementsAre(0, 1, 2, 3));
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::string error = error_of(
        [&] { Source source(path_, "data_param { batch_size: 3 rand_skip: 20 }", TRAIN, seed); });
    if (error.empty()) continue;
    ++refused;
    EXPECT_THAT(error, HasSubstr("records this time, and there are 10"));
  }
  EXPECT_GT(refused, 3);
  EXPECT_LT(refused, 17);
}

TEST_F(DataLayerTest, MixedSizesNeedBatchesOfOne) {
  const std::string path = folder_ / "mixed.lmdb";
  write_lmdb(path, {make_datum(1, 1, 1, "a", 0), make_datum(1, 1, 2, "bc", 1)});
  Source single(path, "data_param { batch_size: 1 }");
  single.labels(1);
  EXPECT_EQ(single.data.shape(), (Shape{1, 1, 1, 2}));
  EXPECT_EQ(single.data.cpu_data()[1], 'c');
  single.labels(2);
  EXPECT_EQ(single.data.shape(), (Shape{1, 1, 1, 1}));

  Source pair(path, "data_param { batch_size: 2 }");
  const std::string error = error_of([&] { pair.labels(0); });
  EXPECT_THAT(error, StartsWith("layer 'data' (Data): " + path + ": record '00000001'"));
  EXPECT_THAT(error, HasSubstr("only batch_size: 1 can mix sizes"));
}

TEST_F(DataLayerTest, EncodedRawAndFloatRecordsMixInABatch) {
  const std::string error = error_of([] { resize_image({1, 1, 1, "a"}, 1, 1); });
  if (error.find("WITH_OPENCV") != std::string::npos) GTEST_SKIP() << error;
  Datum encoded;
  encoded.set_encoded(true);
  encoded.set_data(encode_image({1, 1, 2, "\x0a\x14"}, ".png"));
  Datum floats = make_datum(1, 1, 2, "", 2);
  floats.add_float_data(-0.5f);
  floats.add_float_data(1e6f);
  const std::string path = folder_ / "kinds.lmdb";
  write_lmdb(path, {encoded, make_datum(1, 1, 2, "\x1e\xff", 1), floats});
  Source source(path, "data_param { batch_size: 3 } transform_param { scale: 0.5 }");
  source.labels(0);
  EXPECT_THAT(std::vector<float>(source.data.cpu_data(), source.data.cpu_data() + 6),
              ElementsAre(5, 10, 15, 127.5, -0.25, 5e5));
}

TEST_F(DataLayerTest, TwoLayersReadOneSource) {
  Source train(path_, "data_param { batch_size: 3 shuffle: true }");
  Source test(path_, "data_param { batch_size: 4 }", TEST);
  const auto expected = Source(path_, "data_param { batch_size: 3 shuffle: true }").labels(0, 30);
  std::vector<float> found;
  for (int batch = 0; batch < 30; ++batch) {
    const auto labels = train.labels(batch);
    found.insert(found.end(), labels.begin(), labels.end());
    EXPECT_EQ(test.labels(batch)[0], 4 * batch % kRecords);
  }
  EXPECT_EQ(found, expected);
}

TEST_F(DataLayerTest, ABadRecordIsNamedWhenItsBatchIsReached) {
  const std::string path = folder_ / "bad.lmdb";
  LmdbWriter writer(path);
  writer.put("a", make_datum(1, 1, 1, "x", 0).SerializeAsString());
  writer.put("b", "\xff\xff");
  writer.finish();
  Source source(path, "data_param { batch_size: 1 }");
  EXPECT_THAT(source.labels(0), ElementsAre(0));
  for (int again = 0; again < 2; ++again)
    EXPECT_EQ(error_of([&] { source.labels(1); }),
              "layer 'data' (Data): " + path + ": record 'b' is no Datum");
  EXPECT_THAT(source.labels(2), ElementsAre(0));
}

TEST_F(DataLayerTest, NamesWhatIsWrongInThePrototxt) {
  EXPECT_THAT(set_up_error("", "data_param { batch_size: 1 }"), HasSubstr("no source"));
  EXPECT_THAT(set_up_error(path_, ""), HasSubstr("batch_size of at least 1"));
  EXPECT_THAT(set_up_error(path_, "data_param { batch_size: 4000000000 }"),
              HasSubstr("batch_size of at least 1"));
  EXPECT_THAT(set_up_error(path_, "data_param { batch_size: 1 } transform_param { crop_size: 2 }"),
              HasSubstr("crop_size: 2 is larger"));
  EXPECT_THAT(set_up_error(folder_ / "none", "data_param { batch_size: 1 }"),
              HasSubstr("none: there is no LMDB database here"));
}

/// Records of both kinds and of sizes of their own, whose crops are one size.
TEST_F(DataLayerTest, AGpuMakesTheBatchesOfTheCpuBitForBit) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  const auto datums_of = [](const std::vector<Shape>& sizes) {
    std::vector<Datum> datums;
    for (int i = 0; i < 30; ++i) {
      const Shape& size = sizes[i % sizes.size()];
      std::string bytes(count(size, 0, 3), '\0');
      for (std::size_t b = 0; b < bytes.size(); ++b)
        bytes[b] = static_cast<char>(i * 37 + static_cast<int>(b) * (3 + i % 5));
      datums.push_back(make_datum(size[0], size[1], size[2], bytes, i));
    }
    return datums;
  };
  std::vector<Datum> mixed = datums_of({{3, 9, 7}, {3, 8, 11}, {3, 13, 8}});
  for (int i = 0; i < 30; i += 4) {
    for (const char byte : mixed[i].data()) mixed[i].add_float_data(0.37f * byte);
    mixed[i].clear_data();
  }
  write_lmdb(folder_ / "mixed", mixed);
  write_lmdb(folder_ / "same", datums_of({{3, 9, 7}}));
  BlobProto mean;
  for (const int size : {3, 9, 7}) mean.mutable_shape()->add_dim(size);
  for (int i = 0; i < 3 * 9 * 7; ++i) mean.add_data(0.7f * static_cast<float>(i));
  write_binary(mean, folder_ / "mean");
  const std::string mean_file = "mean_file: '" + (folder_ / "mean") + "' ";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"same", ""},
      {"same", "scale: 0.00390625 mirror: true"},
      {"same", "mean_value: 127.5 crop_size: 6 mirror: true"},
      {"same", "mean_value: 104.3 mean_value: 116.7 mean_value: 122.9 pad: 4 scale: 0.017"},
      {"same", mean_file + "crop_size: 5 mirror: true scale: 0.017"},
      {"same", mean_file + "pad: 2 crop_size: 8 mirror: true"},
      {"mixed", "crop_size: 7 mirror: true mean_value: 3.3 scale: 0.1"},
      {"mixed", "pad: 3 crop_size: 9 mean_value: 1.1 mean_value: 2.2 mean_value: 3.3"}};
  for (const auto& [records, transform] : table)
    for (const Phase phase : {TRAIN, TEST}) {
      SCOPED_TRACE(records + ": " + transform);
      const std::string fields =
          "data_param { batch_size: 8 shuffle: true } transform_param { " + transform + " }";
      Source cpu(folder_ / records, fields, phase);
      Source gpu(folder_ / records, fields, phase, 1, {DeviceType::GPU, 0});
      for (int batch = 0; batch < 10; ++batch) {
        EXPECT_EQ(cpu.labels(batch), gpu.labels(batch));
        ASSERT_EQ(cpu.data.shape(), gpu.data.shape());
        EXPECT_TRUE(gpu.data.data_memory().is_on_gpu());
        EXPECT_EQ(
            std::memcmp(cpu.data.cpu_data(), gpu.data.cpu_data(), cpu.data.count() * sizeof(float)),
            0);
      }
    }
  use_device(Device());
}

TEST_F(DataLayerTest, RefusesLevelDb) {
  LayerParameter parameter;
  parse_prototxt(
      "name: 'data' type: 'Data' data_param { source: 'a' batch_size: 1 backend: LEVELDB }", "test",
      &parameter);
  Context context;
  DataLayer layer(parameter, context);
  Blob data;
  EXPECT_THAT(error_of([&] { layer.set_up({}, {&data}); }), HasSubstr("set backend: LMDB"));
}

TEST_F(DataLayerTest, EndsWhileItReadsAhead) {
  for (int run = 0; run < 50; ++run) {
    Source source(path_, "data_param { batch_size: 100 prefetch: 8 shuffle: true }");
    if (run % 2 == 0) source.labels(run);
  }
}

TEST_F(DataLayerTest, ReadsTheRecordsThatCaffeWrote) {
  Source source(source_dir() + "/tests/data/caffe/t10k_first500.lmdb",
                "data_param { batch_size: 100 } transform_param { scale: 0.00390625 }", TEST);
  EXPECT_EQ(source.layer->size(), 500);
  EXPECT_EQ(source.data.shape(), (Shape{100, 1, 28, 28}));
  const auto labels = source.labels(0, 5);
  EXPECT_THAT(std::vector<float>(labels.begin(), labels.begin() + 10),
              ElementsAre(7, 2, 1, 0, 4, 1, 4, 9, 5, 9));  // how MNIST's test set begins
  const float* values = source.data.cpu_data();
  EXPECT_EQ(*std::min_element(values, values + source.data.count()), 0);
  EXPECT_EQ(*std::max_element(values, values + source.data.count()), 255.0f / 256);
}

}  // namespace
}  // namespace vibnet
