#include "data/hdf5.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "support/error_of.h"
#include "support/hdf5_test.h"
#include "support/paths.h"
#include "support/small_disk.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kKinds = source_dir() + "/tests/data/hdf5/kinds.h5";

std::vector<float> read(const std::string& file, const std::string& dataset) {
  Blob blob;
  read_hdf5(file, dataset, &blob);
  return {blob.cpu_data(), blob.cpu_data() + blob.count()};
}

std::string error_for(const std::string& file, const std::string& dataset) {
  return error_of([&] { read(file, dataset); });
}

TEST_F(Hdf5Test, ReadsNumbersOfAnyKindAsFloats) {
  EXPECT_EQ(hdf5_shape(kKinds, "doubles"), (Shape{3, 2}));
  EXPECT_THAT(read(kKinds, "doubles"), ElementsAre(0.5, 1.5, 2.5, 3.5, 4.5, 5.5));
  EXPECT_THAT(read(kKinds, "integers"), ElementsAre(-1, 0, 1));
  EXPECT_THAT(read(kKinds, "bytes"), ElementsAre(250, 251, 252, 253, 254, 255));
  EXPECT_THAT(read(kKinds, "unwritten"), ElementsAre(0, 0, 0));
  EXPECT_EQ(hdf5_shape(kKinds, "no_rows"), (Shape{0, 2}));
  EXPECT_THAT(read(kKinds, "no_rows"), ElementsAre());
  EXPECT_EQ(hdf5_shape(kKinds, "scalar"), Shape{});
}

TEST_F(Hdf5Test, NamesFileAndDatasetOfWhatItCannotRead) {
  EXPECT_EQ(error_for("/none.h5", "data"), "/none.h5: there is no such file");
  EXPECT_EQ(error_for(folder_.path().string(), "data"),
            folder_.path().string() + ": there is no such file");
  EXPECT_EQ(error_for(folder_.write("a.h5", "some text"), "data"),
            folder_ / "a.h5" + ": is no HDF5 file");
  EXPECT_EQ(error_for(kKinds, "data"), kKinds + ": has no data set 'data'");
  EXPECT_EQ(error_for(kKinds, "text"), kKinds + ": data set 'text' holds no numbers");
  EXPECT_EQ(error_for(kKinds, "huge"), kKinds + ": data set 'huge' is cut off or damaged");
  EXPECT_EQ(error_for(kKinds, ""), kKinds + ": has no data set ''");
}

TEST_F(Hdf5Test, CutOffFilesEndInAnErrorOrInValues) {
  const std::string whole = read_file(kKinds);
  int refused = 0;
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += 101) {
    const std::string file = folder_.write("cut.h5", whole.substr(0, bytes));
    for (const char* dataset : {"doubles", "bytes"})
      refused += error_for(file, dataset).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 20);
}

TEST_F(Hdf5Test, ReadsBackWhatItAppended) {
  const std::string file = folder_ / "out.h5";
  std::vector<float> all;
  {
    Hdf5Writer writer(file);
    for (int batch = 0; batch < 3; ++batch) {
      std::vector<float> values;
      for (int i = 0; i < 2 * 3; ++i) values.push_back(static_cast<float>(100 * batch + i));
      writer.append("data", {2, 3}, values.data());
      all.insert(all.end(), values.begin(), values.end());
    }
    writer.append("none", {0, 3}, nullptr);
    writer.append("flat", {2, 0}, nullptr);
    EXPECT_THAT(error_of([&] {
                  writer.append("data", {3, 2}, all.data());
                }),
                HasSubstr("out.h5: the rows of 'data' have another shape"));
  }
  EXPECT_EQ(hdf5_shape(file, "data"), (Shape{6, 3}));
  EXPECT_EQ(read(file, "data"), all);
  EXPECT_EQ(hdf5_shape(file, "none"), (Shape{0, 3}));
  EXPECT_EQ(hdf5_shape(file, "flat"), (Shape{2, 0}));
}

TEST_F(Hdf5Test, AppendsRowsLargerThanAChunk) {
  const std::string file = folder_ / "large.h5";
  std::vector<float> values(600000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  Hdf5Writer(file).append("data", {2, 300000}, values.data());
  EXPECT_EQ(read(file, "data"), values);
}

TEST_F(Hdf5Test, NamesAFileThatCannotBeWritten) {
  EXPECT_THAT(error_of([&] { Hdf5Writer writer(folder_ / "none/out.h5"); }),
              HasSubstr("none/out.h5: cannot be written"));
}

TEST_F(Hdf5Test, AFullDiskIsAnError) {
  const SmallDisk disk(folder_ / "disk", "256k");
  if (!disk.is_mounted()) GTEST_SKIP() << "a small disk needs root";
  const std::vector<float> values(1 << 18);
  Hdf5Writer writer(folder_ / "disk/out.h5");
  EXPECT_THAT(error_of([&] {
                writer.append("data", {1, 1 << 18}, values.data());
              }),
              HasSubstr("disk/out.h5: cannot be written"));
}

}  // namespace
}  // namespace vibnet
