#include "data/lmdb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"
#include "vibnet/random.h"

namespace vibnet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Of many sizes, so that some lie in a leaf and some on pages of their own.
std::string value_of_record(std::size_t i) {
  return std::string(1 + (i * 37) % 9000, static_cast<char>(i));
}

void write_records(const std::string& path, std::size_t count) {
  LmdbWriter writer(path);
  for (std::size_t i = 0; i < count; ++i) writer.put(record_key(i), value_of_record(i));
  writer.finish();
}

bool reads_as_written(const std::string& path, std::size_t count) {
  LmdbReader reader(path);
  if (reader.size() != static_cast<std::int64_t>(count)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    const Record record = reader.at(static_cast<std::int64_t>(i));
    if (record.key != record_key(i) || record.value != value_of_record(i)) return false;
  }
  return true;
}

class LmdbTest : public ::testing::Test {
 protected:
  std::string open_error(const std::string& path) const {
    return error_of([&] { LmdbReader reader(path); });
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "records.lmdb";
};

TEST_F(LmdbTest, ReadsWhatWasWritten) {
  write_records(path_, 2500);
  EXPECT_TRUE(reads_as_written(path_, 2500));
  EXPECT_TRUE(reads_as_written(path_ + "/data.mdb", 2500));
}

TEST_F(LmdbTest, ReadsByPositionInAnyOrder) {
  write_records(path_, 100);
  LmdbReader reader(path_);
  for (const std::int64_t position : {7, 8, 3, 99, 0, 1, 50, 49}) {
    EXPECT_EQ(reader.at(position).key, record_key(position));
    EXPECT_EQ(reader.at(position).value, value_of_record(position));
  }
}

TEST_F(LmdbTest, GrowsBeyondItsFirstMap) {
  const std::string megabyte(std::size_t{1} << 20, 'x');
  constexpr int kRecords = 150;
  {
    LmdbWriter writer(path_);
    for (int i = 0; i < kRecords; ++i) writer.put(record_key(i), megabyte);
    writer.finish();
  }
  LmdbReader reader(path_);
  ASSERT_EQ(reader.size(), kRecords);
  for (int i = 0; i < kRecords; ++i) ASSERT_EQ(reader.at(i).value, megabyte);
}

TEST_F(LmdbTest, OneRecordMayBeLargerThanTheFirstMap) {
  const std::string large(std::size_t{70} << 20, 'x');
  {
    LmdbWriter writer(path_);
    writer.put("0", "small");
    writer.put("1", large);
    writer.finish();
  }
  LmdbReader reader(path_);
  EXPECT_EQ(reader.at(0).value, "small");
  EXPECT_EQ(reader.at(1).value, large);
}

TEST_F(LmdbTest, ManyProcessesReadAtOnceAndWriteNothing) {
  write_records(path_, 1000);
  std::filesystem::remove(path_ + "/lock.mdb");
  std::filesystem::permissions(path_, std::filesystem::perms(0555));
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(reads_as_written(path_, 1000) ? 0 : 1);
    children.push_back(child);
  }
  LmdbReader reader(path_);
  EXPECT_EQ(reader.at(999).key, record_key(999));
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "/lock.mdb"));
  std::filesystem::permissions(path_, std::filesystem::perms(0755));
}

TEST_F(LmdbTest, ReadsADatabaseThatCaffeWrote) {
  LmdbReader reader(std::string(VIBNET_SOURCE_DIR) + "/tests/data/caffe/t10k_first500.lmdb");
  EXPECT_EQ(reader.size(), 500);
  EXPECT_EQ(reader.at(0).key, record_key(0));
  EXPECT_EQ(reader.at(499).key, record_key(499));
}

TEST_F(LmdbTest, NothingStandsAtThePathBeforeFinish) {
  {
    LmdbWriter writer(path_);
    writer.put("0", "value");
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(LmdbTest, RefusesToOverwrite) {
  write_records(path_, 3);
  EXPECT_THAT(error_of([&] { LmdbWriter writer(path_ + "/"); }),
              HasSubstr("records.lmdb/: exists already"));
  EXPECT_TRUE(reads_as_written(path_, 3));
}

TEST_F(LmdbTest, RefusesKeysOutOfOrderAndOfNoFittingLength) {
  LmdbWriter writer(path_);
  writer.put("1", "value");
  EXPECT_THAT(error_of([&] { writer.put("0", "value"); }), HasSubstr("does not come after"));
  EXPECT_THAT(error_of([&] { writer.put("1", "value"); }), HasSubstr("does not come after"));
  EXPECT_THAT(error_of([&] { writer.put("", "value"); }), HasSubstr("takes 1 to 511"));
  EXPECT_THAT(error_of([&] { writer.put(std::string(600, '2'), "value"); }),
              HasSubstr("takes 1 to 511"));
}

TEST_F(LmdbTest, NamesAFolderThatCannotBeWritten) {
  EXPECT_THAT(error_of([&] { LmdbWriter writer(folder_ / "missing/records.lmdb"); }),
              HasSubstr("missing/records.lmdb: cannot be written: No such file"));
}

TEST_F(LmdbTest, NamesWhatIsMissingOrEmpty) {
  EXPECT_THAT(open_error(path_), StartsWith(path_ + ": there is no LMDB database here"));
  std::filesystem::create_directory(path_);
  EXPECT_THAT(open_error(path_), HasSubstr("data.mdb is missing"));
  folder_.write("records.lmdb/data.mdb", "");
  EXPECT_THAT(open_error(path_), HasSubstr("its file is empty"));
  const std::string empty = folder_ / "empty.lmdb";
  LmdbWriter(empty).finish();
  EXPECT_EQ(open_error(empty), empty + ": the LMDB database is empty");
}

TEST_F(LmdbTest, NamesAFileOfAnotherKind) {
  RandomSequence random(RandomKey{3});
  std::string bytes(20000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.bits());
  folder_.write("records.lmdb", bytes);
  EXPECT_EQ(open_error(path_), path_ + ": is not an LMDB database");
  folder_.write("records.lmdb", "text");
  EXPECT_THAT(open_error(path_), HasSubstr("LMDB database is cut off after 4 bytes"));
}

TEST_F(LmdbTest, NamesACutOffFile) {
  write_records(path_, 300);
  const std::string file = path_ + "/data.mdb";
  const std::string whole = read_file(file);
  for (std::size_t bytes = 1; bytes < whole.size(); bytes += 1777) {
    folder_.write("records.lmdb/data.mdb", whole.substr(0, bytes));
    ASSERT_THAT(open_error(path_), HasSubstr("is cut off after " + std::to_string(bytes)));
  }
}

// LMDB itself would fault on many of these.
TEST_F(LmdbTest, DamagedFilesEndInAnErrorOrInRecords) {
  write_records(path_, 300);
  const std::string file = path_ + "/data.mdb";
  const std::string whole = read_file(file);
  constexpr std::size_t kPage = 4096;
  int refused = 0;
  for (std::uint32_t variant = 0; variant < 400; ++variant) {
    RandomSequence random(RandomKey{5}, variant);
    std::string damaged = whole;
    for (int i = 0; i < 20; ++i) {
      // At a page's front, where what points elsewhere stands.
      const std::size_t page = random.below(static_cast<std::uint32_t>(whole.size() / kPage));
      damaged[page * kPage + random.below(200)] = static_cast<char>(random.bits());
    }
    folder_.write("records.lmdb/data.mdb", damaged);
    const std::string error = error_of([&] {
      LmdbReader reader(path_);
      std::size_t sum = 0;
      for (std::int64_t i = 0; i < reader.size(); ++i)
        for (const char byte : reader.at(i).value) sum += static_cast<unsigned char>(byte);
      ASSERT_GT(sum, 0u);
    });
    if (!error.empty()) {
      ++refused;
      ASSERT_THAT(error, StartsWith(path_));
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace vibnet
