#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "data/datum.h"
#include "data/image.h"
#include "data/lmdb.h"
#include "support/paths.h"
#include "support/run_tool.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> keys_of(const std::string& path) {
  LmdbReader reader(path);
  std::vector<std::string> keys;
  for (std::int64_t i = 0; i < reader.size(); ++i) keys.emplace_back(reader.at(i).key);
  return keys;
}

Datum datum_at(const std::string& path, std::int64_t position) {
  LmdbReader reader(path);
  Datum datum;
  const Record record = reader.at(position);
  datum.ParseFromArray(record.value.data(), static_cast<int>(record.value.size()));
  return datum;
}

class ConvertTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& bytes) const {
    return folder_.write(name, bytes);
  }

  /// A user's error: code 1, one line on stderr, no database and no remains of one.
  void expect_error(const ToolResult& result, const std::string& message) const {
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(lines_of(result.errors), ElementsAre(HasSubstr(message)));
    EXPECT_EQ(result.output, "");
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      EXPECT_THAT(entry.path().filename().string(), Not(StartsWith("out.lmdb")));
  }

  TemporaryFolder folder_;
  const std::string out_ = folder_ / "out.lmdb";
};

class ConvertMnistTest : public ConvertTest {
 protected:
  const std::string images_ =
      file("images", std::string("\0\0\x08\x03\0\0\0\2\0\0\0\1\0\0\0\2abcd", 20));
  const std::string labels_ = file("labels", std::string("\0\0\x08\x01\0\0\0\2\5\x09", 10));
};

TEST_F(ConvertMnistTest, WritesRecordsAsCaffeDoes) {
  const auto result = run_tool("vibnet-convert-mnist", {images_, labels_, out_});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.errors, "");
  EXPECT_THAT(result.output, StartsWith(out_ + ": 2 records"));
  EXPECT_THAT(keys_of(out_), ElementsAre("00000000", "00000001"));
  const Datum datum = datum_at(out_, 1);
  EXPECT_EQ(datum.data(), "cd");
  EXPECT_EQ(datum.label(), 9);
  EXPECT_EQ(datum.channels(), 1);
  EXPECT_EQ(datum.height(), 1);
  EXPECT_EQ(datum.width(), 2);
  EXPECT_FALSE(datum.has_encoded());
}

TEST_F(ConvertMnistTest, WritesTheBytesThatCaffeWroteForTheFirst500) {
  const std::string mnist = source_dir() + "/../shared/data/mnist/t10k-";
  if (!std::filesystem::exists(mnist + "images-idx3-ubyte.gz"))
    GTEST_SKIP() << mnist << "images-idx3-ubyte.gz is missing";
  const auto result = run_tool("vibnet-convert-mnist", {mnist + "images-idx3-ubyte.gz",
                                                        mnist + "labels-idx1-ubyte.gz", out_});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  LmdbReader ours(out_);
  LmdbReader caffes(source_dir() + "/tests/data/caffe/t10k_first500.lmdb");
  for (std::int64_t i = 0; i < caffes.size(); ++i) {
    ASSERT_EQ(ours.at(i).key, caffes.at(i).key);
    ASSERT_EQ(ours.at(i).value, caffes.at(i).value);
  }
}

TEST_F(ConvertMnistTest, ASecondRunLeavesTheFirstWhole) {
  ASSERT_EQ(run_tool("vibnet-convert-mnist", {images_, labels_, out_}).exit_code, 0);
  const auto again = run_tool("vibnet-convert-mnist", {images_, labels_, out_});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(lines_of(again.errors), ElementsAre(HasSubstr("out.lmdb: exists already")));
  EXPECT_EQ(keys_of(out_).size(), 2u);
}

TEST_F(ConvertMnistTest, NamesBadFiles) {
  const auto convert = [&](const std::string& images, const std::string& labels) {
    return run_tool("vibnet-convert-mnist", {images, labels, out_});
  };
  expect_error(convert(folder_ / "none", labels_), "none: cannot be read");
  expect_error(convert(file("empty", ""), labels_), "empty: is empty");
  expect_error(convert(file("cut", read_file(images_).substr(0, 18)), labels_), "cut off");
  expect_error(convert(file("noise", "some other bytes, enough"), labels_),
               "no IDX file of images");
  expect_error(convert(images_, file("large", std::string("\0\0\x08\x01\0\0\0\2\5\x0a", 10))),
               "large: record 1 has label 10");
}

TEST_F(ConvertTest, WrongFlagsExitWith2) {
  for (const char* tool :
       {"vibnet-convert-mnist", "vibnet-convert-cifar", "vibnet-convert-imageset"}) {
    EXPECT_EQ(run_tool(tool, {}).exit_code, 2);
    EXPECT_EQ(run_tool(tool, {"a", "b", "c", "--no_such_flag"}).exit_code, 2);
    const auto help = run_tool(tool, {"--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.output, HasSubstr("example:"));
    EXPECT_THAT(help.output, HasSubstr(tool));
  }
  EXPECT_EQ(run_tool("vibnet-convert-imageset", {".", "l", out_, "--resize_width", "-1"}).exit_code,
            2);
}

TEST_F(ConvertTest, CifarWritesItsBatchesOneAfterAnother) {
  const std::string first = file("1.bin", '\1' + std::string(3072, 'a'));
  const std::string second =
      file("2.bin", '\2' + std::string(3072, 'b') + '\3' + std::string(3072, 'c'));
  const auto result = run_tool("vibnet-convert-cifar", {out_, first, second});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(keys_of(out_), ElementsAre("00000", "00001", "00002"));
  EXPECT_EQ(datum_at(out_, 2).label(), 3);
  EXPECT_EQ(datum_at(out_, 2).data(), std::string(3072, 'c'));
  EXPECT_EQ(datum_at(out_, 0).channels(), 3);
}

TEST_F(ConvertTest, Cifar100KeepsTheFineLabels) {
  const std::string batch = file("train.bin", "\1\x63" + std::string(3072, 'a'));
  const auto result = run_tool("vibnet-convert-cifar", {out_, batch, "--cifar100"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(datum_at(out_, 0).label(), 99);
}

TEST_F(ConvertTest, AFullDiskIsNamedAndLeavesNothing) {
  constexpr int kRecordBytes = 3073;
  const std::string batch = file("batch.bin", std::string(20 * kRecordBytes, '\1'));
  for (const char* size : {"4k", "16k", "40k"}) {
    const SmallDisk disk(folder_ / size, size);
    if (!disk.is_mounted()) GTEST_SKIP() << "a tmpfs cannot be mounted here";
    const std::string out = (folder_ / size) + "/full.lmdb";
    const auto result = run_tool("vibnet-convert-cifar", {out, batch});
    EXPECT_EQ(result.exit_code, 1) << size;
    EXPECT_THAT(lines_of(result.errors), ElementsAre(HasSubstr("No space left on device"))) << size;
    EXPECT_TRUE(std::filesystem::is_empty(folder_ / size)) << size;
  }
}

TEST_F(ConvertTest, CifarNamesBadFiles) {
  const auto convert = [&](const std::string& path) {
    return run_tool("vibnet-convert-cifar", {out_, path});
  };
  expect_error(convert(folder_ / "none"), "none: cannot be read");
  expect_error(convert(file("empty", "")), "empty: is empty");
  expect_error(convert(file("cut", std::string(3000, '\1'))), "no whole number of CIFAR records");
  expect_error(convert(file("large", std::string(3073, '\x0a'))), "has label 10");
}

class ConvertImagesetTest : public ConvertTest {
 protected:
  void SetUp() override {
    file("picture", "P3 1 2 255 10 20 30 40 50 60\n");
    if (convert("picture 0\n").errors.find("WITH_OPENCV") != std::string::npos)
      GTEST_SKIP() << "this build has no OpenCV";
    std::filesystem::remove_all(out_);
  }

  ToolResult convert(const std::string& list, std::vector<std::string> flags = {}) const {
    flags.insert(flags.begin(), {folder_.path().string(), file("list.txt", list), out_});
    return run_tool("vibnet-convert-imageset", flags);
  }
};

TEST_F(ConvertImagesetTest, WritesPicturesAsCaffeDoes) {
  file("a picture", read_file(folder_ / "picture"));
  const auto result = convert("picture 3\n\na picture  7 \r\n");
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(keys_of(out_), ElementsAre("00000000_picture", "00000001_a picture"));
  const Datum datum = datum_at(out_, 1);
  EXPECT_EQ(datum.label(), 7);
  EXPECT_EQ(datum.data(), "\x1e\x3c\x14\x32\x0a\x28");
  EXPECT_EQ(datum.channels(), 3);
  EXPECT_EQ(datum.height(), 2);
  EXPECT_EQ(datum.width(), 1);
  EXPECT_TRUE(datum.has_encoded());
  EXPECT_FALSE(datum.encoded());
}

TEST_F(ConvertImagesetTest, TurnsGrayAndResizes) {
  ASSERT_EQ(
      convert("picture 0\n", {"--gray", "--resize_height", "5", "--resize_width=4"}).exit_code, 0);
  const Datum datum = datum_at(out_, 0);
  EXPECT_EQ(datum.channels(), 1);
  EXPECT_EQ(datum.height(), 5);
  EXPECT_EQ(datum.width(), 4);
  EXPECT_EQ(datum.data().size(), 20u);
}

TEST_F(ConvertImagesetTest, KeepsPicturesEncoded) {
  const Image image{3, 2, 2, "abcdefghijkl"};
  const std::string png = encode_image(image, ".png");
  file("a.png", png);
  ASSERT_EQ(convert("a.png 1\n", {"--encoded"}).exit_code, 0);
  EXPECT_TRUE(datum_at(out_, 0).encoded());
  EXPECT_EQ(datum_at(out_, 0).data(), png);
  LmdbReader reader(out_);
  Datum datum;
  read_datum(reader.at(0), {}, out_, &datum);
  EXPECT_EQ(datum.data(), image.pixels);
  EXPECT_EQ(datum.label(), 1);

  std::filesystem::remove_all(out_);
  ASSERT_EQ(convert("a.png 1\n", {"--encoded", "--gray", "--resize_width", "3"}).exit_code, 0);
  LmdbReader gray_reader(out_);
  read_datum(gray_reader.at(0), {}, out_, &datum);
  EXPECT_EQ(datum.channels(), 1);
  EXPECT_EQ(datum.width(), 3);
}

TEST_F(ConvertImagesetTest, ShufflesByTheSeed) {
  std::string list;
  for (int i = 0; i < 20; ++i) list += "picture " + std::to_string(i) + "\n";
  const auto labels = [&](const std::string& seed) {
    std::filesystem::remove_all(out_);
    EXPECT_EQ(convert(list, {"--shuffle", "--seed", seed}).exit_code, 0);
    std::vector<int> found;
    for (int i = 0; i < 20; ++i) found.push_back(datum_at(out_, i).label());
    return found;
  };
  const auto first = labels("1");
  EXPECT_EQ(labels("1"), first);
  EXPECT_NE(labels("2"), first);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  auto sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sorted[i], i);
}

TEST_F(ConvertImagesetTest, NamesBadPicturesAndLines) {
  file("noise.png", "no picture at all");
  file("empty.png", "");
  file("cut.png", encode_image({1, 9, 9, std::string(81, 'a')}, ".png").substr(0, 60));
  expect_error(convert("picture 1\nnoise.png 2\n"), "list.txt:2: ");
  expect_error(convert("noise.png 2\n"), "noise.png: is no picture");
  expect_error(convert("empty.png 2\n"), "empty.png: ");
  expect_error(convert("cut.png 2\n"), "cut.png: the picture is cut off");
  expect_error(convert("missing.png 2\n"), "missing.png: cannot be read");
  expect_error(convert("picture 1\npicture\n"), "list.txt:2: needs a picture's path");
  expect_error(convert("picture one\n"), "list.txt:1: needs a picture's path");
  expect_error(convert("picture -1\n"), "list.txt:1: needs a picture's path");
  expect_error(convert("picture 99999999999\n"), "list.txt:1: needs a picture's path");
  expect_error(convert("\n\n"), "list.txt: lists no pictures");
  file("plain", read_file(folder_ / "picture"));
  expect_error(convert("plain 1\n", {"--encoded", "--gray"}), "plain: cannot encode");
}

}  // namespace
}  // namespace vibnet
