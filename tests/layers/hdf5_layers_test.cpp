#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/hdf5_test.h"
#include "support/layer_fixture.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class HDF5DataTest : public Hdf5Test {
 protected:
  /// A file of rows whose label is `first`, `first` + 1, ... and whose two values are 10 and 100
  /// times that.
  std::string write(const std::string& name, int first, int rows) {
    std::vector<float> data;
    std::vector<float> labels;
    for (int label = first; label < first + rows; ++label) {
      labels.push_back(static_cast<float>(label));
      data.insert(data.end(), {10.0f * label, 100.0f * label});
    }
    Hdf5Writer writer(folder_ / name);
    writer.append("data", {rows, 1, 2}, data.data());
    writer.append("label", {rows}, labels.data());
    return folder_ / name;
  }

  std::string list(const std::vector<std::string>& files) {
    std::string text;
    for (const std::string& file : files) text += file + "\n";
    return folder_.write("list.txt", text);
  }

  static std::string prototxt(const std::string& source, const std::string& more) {
    return "name: 'rows' type: 'HDF5Data' top: 'data' top: 'label' hdf5_data_param { source: '" +
           source + "' " + more + " }";
  }

  static std::vector<float> labels(LayerFixture* fixture, int begin, int end) {
    std::vector<float> all;
    for (int batch = begin; batch < end; ++batch) {
      fixture->context().iteration = batch;
      fixture->forward();
      const Blob& label = fixture->top(1);
      for (int i = 0; i < label.count(); ++i) {
        all.push_back(label.cpu_data()[i]);
        EXPECT_EQ(fixture->top().cpu_data()[2 * i], 10 * all.back());
        EXPECT_EQ(fixture->top().cpu_data()[2 * i + 1], 100 * all.back());
      }
    }
    return all;
  }

  std::string set_up_error(const std::string& text) {
    return error_of([&] { LayerFixture fixture(text, {}, 2); });
  }
};

TEST_F(HDF5DataTest, ReadsFileAfterFileAndRoundAgain) {
  const std::string source = list({write("a.h5", 0, 3), write("b.h5", 3, 0), write("c.h5", 3, 4)});
  LayerFixture fixture(prototxt(source, "batch_size: 4"), {}, 2);
  EXPECT_EQ(fixture.top().shape(), (Shape{4, 1, 2}));
  EXPECT_EQ(fixture.top(1).shape(), (Shape{4}));
  EXPECT_THAT(labels(&fixture, 0, 4), ElementsAre(0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1));
}

TEST_F(HDF5DataTest, ShufflesFilesAndRowsEachEpochAnew) {
  const std::string source = list({write("a.h5", 0, 3), write("b.h5", 3, 5), write("c.h5", 8, 4)});
  const std::string text = prototxt(source, "batch_size: 3 shuffle: true");
  LayerFixture fixture(text, {}, 2);
  const std::vector<float> all = labels(&fixture, 0, 80);
  std::set<std::vector<float>> orders;
  std::set<float> first_files;
  for (int epoch = 0; epoch < 20; ++epoch) {
    std::vector<float> order(all.begin() + epoch * 12, all.begin() + (epoch + 1) * 12);
    orders.insert(order);
    first_files.insert(order[0] < 3 ? 0.0f : order[0] < 8 ? 1.0f : 2.0f);
    // A file's rows come together.
    int changes = 0;
    for (int i = 1; i < 12; ++i)
      changes += (order[i] < 3) != (order[i - 1] < 3) || (order[i] < 8) != (order[i - 1] < 8);
    EXPECT_EQ(changes, 2);
    std::sort(order.begin(), order.end());
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  }
  EXPECT_EQ(orders.size(), 20u);
  EXPECT_EQ(first_files.size(), 3u);

  LayerFixture resumed(text, {}, 2);
  EXPECT_EQ(labels(&resumed, 37, 80), std::vector<float>(all.begin() + 37 * 3, all.end()));
  Context other = training_context();
  other.seed = 8;
  LayerFixture seeded(text, {}, 2, other);
  EXPECT_NE(labels(&seeded, 0, 80), all);
}

TEST_F(HDF5DataTest, TopsAreDatasetsByName) {
  write("a.h5", 5, 2);
  LayerFixture fixture("type: 'HDF5Data' top: 'label' hdf5_data_param { source: '" +
                           list({folder_ / "a.h5"}) + "' batch_size: 3 }",
                       {});
  fixture.context().iteration = 0;
  fixture.forward();
  EXPECT_THAT(std::vector<float>(fixture.top().cpu_data(), fixture.top().cpu_data() + 3),
              ElementsAre(5, 6, 5));
}

TEST_F(HDF5DataTest, NamesWhatIsWrong) {
  const std::string a = write("a.h5", 0, 3);
  const std::string good = list({a});
  EXPECT_THAT(set_up_error(prototxt(good, "")), HasSubstr("batch_size of at least 1"));
  EXPECT_THAT(set_up_error(prototxt("", "batch_size: 1")), HasSubstr("no source"));
  EXPECT_THAT(set_up_error(prototxt(folder_ / "none", "batch_size: 1")),
              HasSubstr("none: cannot be read"));
  EXPECT_THAT(set_up_error(prototxt(good, "batch_size: 1") + " transform_param { scale: 2 }"),
              HasSubstr("layer 'rows' (HDF5Data): takes no transform_param"));
  const auto error = [&](const std::vector<std::string>& files) {
    return set_up_error(prototxt(list(files), "batch_size: 1"));
  };
  EXPECT_THAT(error({}), HasSubstr("list.txt: lists no HDF5 file"));
  EXPECT_THAT(error({folder_ / "b.h5"}), HasSubstr("b.h5: there is no such file"));
  EXPECT_THAT(error({folder_.write("text.h5", "text")}), HasSubstr("text.h5: is no HDF5 file"));
  EXPECT_THAT(error({write("empty.h5", 0, 0)}), HasSubstr("no file in it has a row"));
  const std::vector<float> values(12);
  Hdf5Writer(folder_ / "alone.h5").append("data", {3, 1, 2}, values.data());
  EXPECT_THAT(error({folder_ / "alone.h5"}), HasSubstr("alone.h5: has no data set 'label'"));
  {
    Hdf5Writer writer(folder_ / "uneven.h5");
    writer.append("data", {3, 1, 2}, values.data());
    writer.append("label", {4}, values.data());
  }
  EXPECT_THAT(error({folder_ / "uneven.h5"}),
              HasSubstr("uneven.h5: data set 'label' has 4 rows, and 'data' 3"));
  {
    Hdf5Writer writer(folder_ / "wide.h5");
    writer.append("data", {3, 1, 3}, values.data());
    writer.append("label", {3}, values.data());
  }
  EXPECT_THAT(error({a, folder_ / "wide.h5"}),
              HasSubstr("wide.h5: the rows of 'data' are 1x3 (3), and those of " + a + " 1x2 (2)"));
}

TEST_F(HDF5DataTest, AFileThatChangedIsNoticed) {
  const std::string source = list({write("a.h5", 0, 3)});
  LayerFixture fixture(prototxt(source, "batch_size: 2"), {}, 2);
  write("a.h5", 0, 2);
  EXPECT_THAT(error_of([&] { fixture.forward(); }), HasSubstr("a.h5: has changed"));
}

class HDF5OutputTest : public Hdf5Test {
 protected:
  std::string prototxt(const std::string& file) const {
    return "type: 'HDF5Output' hdf5_output_param { file_name: '" + file + "' }";
  }
};

TEST_F(HDF5OutputTest, WritesDataAndLabelsOfEachPass) {
  const std::string file = folder_ / "out.h5";
  std::vector<float> data;
  {
    LayerFixture fixture(prototxt(file), {{2, 3}, {2}}, 0);
    for (int pass = 0; pass < 2; ++pass) {
      fill_gaussian(pass + 10, &fixture.bottom());
      fixture.bottom(1).set_data(static_cast<float>(pass));
      fixture.forward();
      data.insert(data.end(), fixture.bottom().cpu_data(), fixture.bottom().cpu_data() + 6);
    }
  }
  Blob blob;
  read_hdf5(file, "data", &blob);
  EXPECT_EQ(blob.shape(), (Shape{4, 3, 1, 1}));
  EXPECT_EQ(std::vector<float>(blob.cpu_data(), blob.cpu_data() + 12), data);
  read_hdf5(file, "label", &blob);
  EXPECT_EQ(blob.shape(), (Shape{4, 1, 1, 1}));
  EXPECT_THAT(std::vector<float>(blob.cpu_data(), blob.cpu_data() + 4), ElementsAre(0, 0, 1, 1));
}

TEST_F(HDF5OutputTest, StartsTheFileAnew) {
  const std::string file = folder_.write("out.h5", "what stood here");
  {
    LayerFixture fixture(prototxt(file), {{0, 3}, {0}}, 0);
    fixture.forward();
  }
  EXPECT_EQ(hdf5_shape(file, "data"), (Shape{0, 3, 1, 1}));
}

TEST_F(HDF5OutputTest, LeavesTheFileAloneUntilTheFirstPass) {
  const std::string file = folder_.write("out.h5", "what stood here");
  { LayerFixture fixture(prototxt(file), {{2, 3}, {2}}, 0); }
  EXPECT_EQ(read_file(file), "what stood here");
}

TEST_F(HDF5OutputTest, NamesWhatIsWrong) {
  const auto error = [&](const std::string& file, const std::vector<Shape>& bottoms) {
    return error_of([&] { LayerFixture fixture(prototxt(file), bottoms, 0); });
  };
  EXPECT_THAT(error("", {{2, 3}, {2}}), HasSubstr("no file_name"));
  LayerFixture homeless(prototxt(folder_ / "none/a.h5"), {{2, 3}, {2}}, 0);
  EXPECT_THAT(error_of([&] { homeless.forward(); }),
              HasSubstr("layer 'layer' (HDF5Output): " + (folder_ / "none/a.h5") +
                        ": cannot be written: there is no folder " + (folder_ / "none")));
  EXPECT_THAT(error(folder_ / "a.h5", {{2, 3}, {3}}), HasSubstr("both need as many rows"));
  EXPECT_THAT(error(folder_ / "a.h5", {{1, 1, 1, 1, 1}, {1}}), HasSubstr("4 axes are the most"));
}

TEST_F(HDF5OutputTest, StandsInANetWithoutGradients) {
  NetParameter parameter;
  parse_prototxt(
      "force_backward: true "
      "layer { name: 'in' type: 'Input' top: 'x' top: 'l' "
      "input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } } "
      "layer { name: 'out' type: 'HDF5Output' bottom: 'x' bottom: 'l' "
      "hdf5_output_param { file_name: '" +
          (folder_ / "net.h5") + "' } }",
      "test", &parameter);
  {
    Net net(parameter, {});
    net.forward();
    net.backward();
  }
  EXPECT_EQ(hdf5_shape(folder_ / "net.h5", "data"), (Shape{2, 3, 1, 1}));
}

}  // namespace
}  // namespace vibnet
