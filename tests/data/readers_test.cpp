#include "data/readers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"
#include "vibnet/random.h"

namespace vibnet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string word(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

/// Two pictures of 2 x 3.
std::string idx_images() { return word(0x803) + word(2) + word(2) + word(3) + "abcdefghijkl"; }
std::string idx_labels() { return word(0x801) + word(2) + std::string("\x09\x00", 2); }

class ReadersTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& bytes) const {
    return folder_.write(name, bytes);
  }

  std::string gzipped(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen((folder_ / name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return folder_ / name;
  }

  std::string idx_error(const std::string& images, const std::string& labels) const {
    return error_of([&] { read_idx(file("images", images), file("labels", labels), 10); });
  }

  std::string cifar_error(const std::string& bytes) const {
    return error_of([&] { read_cifar(file("batch.bin", bytes), CifarKind::CIFAR10); });
  }

  TemporaryFolder folder_;
};

TEST_F(ReadersTest, ReadsIdxGzippedOrNot) {
  for (const bool is_gzipped : {false, true}) {
    const auto records =
        is_gzipped ? read_idx(gzipped("i.gz", idx_images()), gzipped("l.gz", idx_labels()), 10)
                   : read_idx(file("i", idx_images()), file("l", idx_labels()), 10);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].channels(), 1);
    EXPECT_EQ(records[0].height(), 2);
    EXPECT_EQ(records[0].width(), 3);
    EXPECT_EQ(records[0].data(), "abcdef");
    EXPECT_EQ(records[1].data(), "ghijkl");
    EXPECT_EQ(records[0].label(), 9);
    EXPECT_EQ(records[1].label(), 0);
  }
}

TEST_F(ReadersTest, NamesAnIdxFileThatIsMissingOrAFolder) {
  const std::string labels = file("labels", idx_labels());
  EXPECT_THAT(error_of([&] { read_idx(folder_ / "missing", labels, 10); }),
              HasSubstr("missing: cannot be read: No such file"));
  EXPECT_THAT(error_of([&] { read_idx(folder_.path(), labels, 10); }), HasSubstr("is a folder"));
}

TEST_F(ReadersTest, NamesAnIdxFileCutOffAtAnyLength) {
  const std::string images = idx_images();
  EXPECT_THAT(idx_error("", idx_labels()), HasSubstr("images: is empty"));
  EXPECT_THAT(idx_error(images, ""), HasSubstr("labels: is empty"));
  for (std::size_t bytes = 1; bytes < images.size(); ++bytes)
    ASSERT_THAT(idx_error(images.substr(0, bytes), idx_labels()), HasSubstr("/images: ")) << bytes;
  for (std::size_t bytes = 1; bytes < idx_labels().size(); ++bytes)
    ASSERT_THAT(idx_error(images, idx_labels().substr(0, bytes)), HasSubstr("/labels: ")) << bytes;
}

TEST_F(ReadersTest, NamesACutOffGzipFile) {
  const std::string whole = read_file(gzipped("images.gz", idx_images()));
  for (std::size_t bytes = 1; bytes < whole.size(); ++bytes)
    ASSERT_THAT(error_of([&] {
                  read_idx(file("cut.gz", whole.substr(0, bytes)), file("l", idx_labels()), 10);
                }),
                HasSubstr("cut.gz: "))
        << bytes;
}

TEST_F(ReadersTest, RefusesAnIdxFileOfAnotherKindOrSize) {
  EXPECT_THAT(idx_error(idx_labels(), idx_labels()), HasSubstr("images: is no IDX file of images"));
  EXPECT_THAT(idx_error(idx_images(), idx_images()), HasSubstr("labels: is no IDX file of labels"));
  EXPECT_THAT(idx_error(idx_images() + "x", idx_labels()), HasSubstr("it is too long"));
  const std::string one_label = word(0x801) + word(1) + '\1';
  EXPECT_THAT(idx_error(idx_images(), one_label), HasSubstr("holds 1 labels for the 2 images"));
  EXPECT_THAT(idx_error(word(0x803) + word(0) + word(2) + word(2), idx_labels()),
              HasSubstr("holds no images"));
  const std::string huge = word(0x803) + word(~0u) + word(~0u) + word(~0u) + "abc";
  EXPECT_THAT(idx_error(huge, idx_labels()), HasSubstr("is cut off"));
}

TEST_F(ReadersTest, RefusesRandomBytes) {
  RandomSequence random(RandomKey{2});
  std::string noise;
  for (int i = 0; i < 5000; ++i) noise += static_cast<char>(random.bits());
  EXPECT_THAT(idx_error(noise, idx_labels()), HasSubstr("is no IDX file"));
  EXPECT_THAT(cifar_error(noise), HasSubstr("no whole number of CIFAR records"));
}

TEST_F(ReadersTest, RefusesLabelsThatAreNoClass) {
  const std::string labels = word(0x801) + word(2) + "\1\12";
  EXPECT_THAT(idx_error(idx_images(), labels),
              HasSubstr("labels: record 1 has label 10, and labels go from 0 to 9"));
  EXPECT_EQ(read_idx(file("i", idx_images()), file("l", labels), 11)[1].label(), 10);
  EXPECT_THAT(cifar_error(std::string(3073, '\12')), HasSubstr("record 0 has label 10"));
}

TEST_F(ReadersTest, ReadsCifar) {
  const std::string first = '\3' + std::string(3072, 'a');
  const std::string second = '\4' + std::string(3072, 'b');
  const auto ten = read_cifar(file("ten", first + second), CifarKind::CIFAR10);
  ASSERT_EQ(ten.size(), 2u);
  EXPECT_EQ(ten[1].label(), 4);
  EXPECT_EQ(ten[1].data(), std::string(3072, 'b'));
  EXPECT_EQ(ten[1].channels(), 3);
  EXPECT_EQ(ten[1].height(), 32);
  const auto hundred =
      read_cifar(file("hundred", '\1' + ('c' + std::string(3072, 'd'))), CifarKind::CIFAR100_FINE);
  ASSERT_EQ(hundred.size(), 1u);
  EXPECT_EQ(hundred[0].label(), 'c');
  EXPECT_EQ(hundred[0].data(), std::string(3072, 'd'));
}

TEST_F(ReadersTest, RefusesACifarFileThatIsNotWhole) {
  const std::string record = '\3' + std::string(3072, 'a');
  EXPECT_THAT(cifar_error(""), HasSubstr("batch.bin: is empty"));
  EXPECT_THAT(cifar_error(record.substr(0, 3000)), HasSubstr("holds 3000 bytes"));
  EXPECT_THAT(cifar_error(record + "x"), HasSubstr("no whole number"));
  EXPECT_THAT(error_of([&] { read_cifar(folder_ / "none.bin", CifarKind::CIFAR10); }),
              StartsWith(folder_ / "none.bin"));
}

}  // namespace
}  // namespace vibnet
