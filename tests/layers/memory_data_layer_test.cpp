#include "vibnet/memory_data_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "support/error_of.h"
#include "support/layer_fixture.h"
#include "support/write_lmdb.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kTwoByTwo =
    "name: 'data' type: 'MemoryData' memory_data_param { batch_size: 2 channels: 1 height: 1 "
    "width: 2 } ";

MemoryDataLayer& layer_of(LayerFixture* fixture) {
  return dynamic_cast<MemoryDataLayer&>(fixture->layer());
}

std::vector<float> batch(LayerFixture* fixture, int index) {
  fixture->context().iteration = index;
  fixture->forward();
  std::vector<float> values(fixture->top().cpu_data(),
                            fixture->top().cpu_data() + fixture->top().count());
  for (int i = 0; i < fixture->top(1).count(); ++i) values.push_back(fixture->top(1).cpu_data()[i]);
  return values;
}

TEST(MemoryData, HandsOnRowsBatchByBatchAndRoundAgain) {
  LayerFixture fixture(kTwoByTwo, {}, 2);
  EXPECT_EQ(fixture.top().shape(), (Shape{2, 1, 1, 2}));
  EXPECT_EQ(fixture.top(1).shape(), (Shape{2}));
  layer_of(&fixture).reset({1, 2, 3, 4, 5, 6, 7, 8}, {10, 20, 30, 40});
  EXPECT_THAT(batch(&fixture, 0), ElementsAre(1, 2, 3, 4, 10, 20));
  EXPECT_THAT(batch(&fixture, 1), ElementsAre(5, 6, 7, 8, 30, 40));
  EXPECT_THAT(batch(&fixture, 2), ElementsAre(1, 2, 3, 4, 10, 20));
  layer_of(&fixture).reset({9, 9, 9, 9}, {1, 2});
  EXPECT_THAT(batch(&fixture, 5), ElementsAre(9, 9, 9, 9, 1, 2));
}

TEST(MemoryData, ReadsWhatIsHandedOverFromItsFirstRow) {
  LayerFixture fixture(kTwoByTwo, {}, 2);
  layer_of(&fixture).reset({1, 2, 3, 4, 5, 6, 7, 8}, {10, 20, 30, 40});
  EXPECT_THAT(batch(&fixture, 7), ElementsAre(1, 2, 3, 4, 10, 20));
  EXPECT_THAT(batch(&fixture, 8), ElementsAre(5, 6, 7, 8, 30, 40));
  EXPECT_THAT(batch(&fixture, 8), ElementsAre(5, 6, 7, 8, 30, 40));
  layer_of(&fixture).reset({8, 7, 6, 5, 4, 3, 2, 1}, {1, 2, 3, 4});
  EXPECT_THAT(batch(&fixture, 9), ElementsAre(8, 7, 6, 5, 1, 2));
  EXPECT_THAT(batch(&fixture, 10), ElementsAre(4, 3, 2, 1, 3, 4));
  EXPECT_THAT(batch(&fixture, 0), ElementsAre(8, 7, 6, 5, 1, 2));  // a run begun anew
}

TEST(MemoryData, TransformsDatums) {
  LayerFixture fixture(kTwoByTwo + "transform_param { scale: 2 mean_value: 1 }", {}, 2);
  Datum floats = make_datum(1, 1, 2, "", 7);
  floats.add_float_data(0.5f);
  floats.add_float_data(-3);
  layer_of(&fixture).add_datums({make_datum(1, 1, 2, "\1\xff", 6), floats});
  EXPECT_THAT(batch(&fixture, 0), ElementsAre(0, 508, -1, -8, 6, 7));
}

TEST(MemoryData, DrawsByTheBatchThatDatumsAreAddedIn) {
  std::set<std::vector<float>> drawn;
  for (int repeat = 0; repeat < 2; ++repeat) {
    LayerFixture fixture(kTwoByTwo + "transform_param { mirror: true }", {}, 2);
    for (int i = 0; i < 40; ++i) {
      fixture.context().iteration = i;
      layer_of(&fixture).add_datums(
          {make_datum(1, 1, 2, "\1\2", i), make_datum(1, 1, 2, "\3\4", i)});
      drawn.insert(batch(&fixture, i));
    }
  }
  EXPECT_EQ(drawn.size(), 40u);  // the second time as the first
  std::set<std::vector<float>> kinds;
  for (const auto& values : drawn) kinds.insert({values[0], values[2]});
  EXPECT_EQ(kinds.size(), 4u);
}

TEST(MemoryData, StandsInANet) {
  NetParameter parameter;
  parse_prototxt("layer { top: 'data' top: 'label' " + kTwoByTwo + "}", "test", &parameter);
  Net net(parameter, {});
  EXPECT_THAT(error_of([&] { net.forward(); }),
              HasSubstr("layer 'data' (MemoryData): has no data; the program must call reset()"));
  dynamic_cast<MemoryDataLayer&>(*net.layer("data")).reset({1, 2, 3, 4}, {5, 6});
  net.forward();
  EXPECT_EQ(net.blob("data")->cpu_data()[3], 4);
}

TEST(MemoryData, NamesWhatIsWrong) {
  const auto set_up = [](const std::string& fields) {
    return error_of([&] {
      LayerFixture fixture("type: 'MemoryData' memory_data_param { " + fields + " }", {}, 2);
    });
  };
  EXPECT_THAT(set_up(""), HasSubstr("needs batch_size, channels, height and width"));
  EXPECT_THAT(set_up("batch_size: 1 channels: 1 height: 0 width: 1"), HasSubstr("all at least 1"));
  EXPECT_THAT(set_up("batch_size: 4000000000 channels: 1 height: 1 width: 1"),
              HasSubstr("batch_size: 4000000000 is too large"));
  LayerFixture fixture(kTwoByTwo, {}, 2);
  MemoryDataLayer& layer = layer_of(&fixture);
  EXPECT_THAT(error_of([&] { layer.reset({}, {}); }), HasSubstr("0 rows are no whole batches"));
  EXPECT_THAT(error_of([&] {
                layer.reset({1, 2, 3, 4, 5, 6}, {1, 2, 3});
              }),
              HasSubstr("3 rows are no whole batches of 2"));
  EXPECT_THAT(error_of([&] {
                layer.reset({1, 2, 3}, {1, 2});
              }),
              HasSubstr("3 values are not 2 rows of 1x1x2 (2)"));
  EXPECT_THAT(error_of([&] { layer.add_datums({}); }), HasSubstr("0 rows are no whole batches"));
  const Datum good = make_datum(1, 1, 2, "ab", 0);
  EXPECT_THAT(error_of([&] { layer.add_datums({good}); }),
              HasSubstr("1 rows are no whole batches"));
  EXPECT_THAT(error_of([&] {
                layer.add_datums({good, make_datum(1, 1, 2, "a", 0)});
              }),
              HasSubstr("layer 'data' (MemoryData): datum 1 is no whole Datum"));
  EXPECT_THAT(error_of([&] {
                layer.add_datums({make_datum(1, 2, 1, "ab", 0), good});
              }),
              HasSubstr("datum 0 comes out as 1x2x1 (2), and must be 1x1x2 (2)"));
  layer.reset({1, 2, 3, 4}, {1, 2});
  EXPECT_FALSE(error_of([&] { layer.reset({1}, {1}); }).empty());
  EXPECT_THAT(batch(&fixture, 0), ElementsAre(1, 2, 3, 4, 1, 2));  // a wrong call changes nothing
}

}  // namespace
}  // namespace vibnet
