#include "data/lmdb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "support/error_of.h"
#include "support/paths.h"
#include "support/small_disk.h"
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

TEST_F(LmdbTest, IsWrittenWhereALinkPoints) {
  std::filesystem::create_symlink("far.lmdb", path_);
  write_records(path_, 3);
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_TRUE(reads_as_written(folder_ / "far.lmdb", 3));
}

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

/// An environment and a transaction as another program has them.
class OtherProgram {
 public:
  OtherProgram(const std::string& path, std::size_t map_bytes, unsigned flags) {
    std::filesystem::create_directories(path);
    check(mdb_env_create(&environment_));
    if (map_bytes > 0) check(mdb_env_set_mapsize(environment_, map_bytes));
    check(mdb_env_open(environment_, path.c_str(), flags, 0664));
    check(mdb_txn_begin(environment_, nullptr, flags & MDB_RDONLY, &transaction_));
    check(mdb_dbi_open(transaction_, nullptr, 0, &database_));
  }
  OtherProgram(const OtherProgram&) = delete;
  OtherProgram& operator=(const OtherProgram&) = delete;
  ~OtherProgram() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
    mdb_env_close(environment_);
  }

  /// Puts a value whose bytes are left a hole in the file, but for the first and the last.
  void put_hole(const std::string& key, std::size_t bytes) {
    MDB_val mdb_key{key.size(), const_cast<char*>(key.data())};
    MDB_val value{bytes, nullptr};
    check(mdb_put(transaction_, database_, &mdb_key, &value, MDB_RESERVE));
    static_cast<char*>(value.mv_data)[0] = 'f';
    static_cast<char*>(value.mv_data)[bytes - 1] = 'l';
  }
  void put(const std::string& key, const std::string& value) {
    MDB_val mdb_key{key.size(), const_cast<char*>(key.data())};
    MDB_val mdb_value{value.size(), const_cast<char*>(value.data())};
    check(mdb_put(transaction_, database_, &mdb_key, &mdb_value, 0));
  }
  void commit() {
    check(mdb_txn_commit(transaction_));
    transaction_ = nullptr;
  }

 private:
  static void check(int status) { ASSERT_EQ(status, MDB_SUCCESS) << mdb_strerror(status); }

  MDB_env* environment_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  MDB_dbi database_ = 0;
};

// Five records of 900 MB, which on the disk are holes, and one after them.
TEST_F(LmdbTest, ReadsRecordsBeyondFourGigabytes) {
  constexpr std::size_t kMegabyte = std::size_t{1} << 20;
  {
    OtherProgram writer(path_, 5000 * kMegabyte, MDB_WRITEMAP | MDB_NOSYNC);
    for (int i = 0; i < 5; ++i) writer.put_hole(record_key(i), 900 * kMegabyte);
    writer.put_hole(record_key(5), 5000);
    writer.put(record_key(6), "the last");
    writer.commit();
  }
  ASSERT_GT(std::filesystem::file_size(path_ + "/data.mdb"), std::uintmax_t{1} << 32);
  LmdbReader reader(path_);
  ASSERT_EQ(reader.size(), 7);
  const char* first = reader.at(0).value.data();
  for (const int i : {0, 1, 2, 3, 4, 5, 2, 5, 0}) {
    const Record record = reader.at(i);
    EXPECT_EQ(record.key, record_key(i));
    ASSERT_EQ(record.value.size(), i < 5 ? 900 * kMegabyte : 5000);
    EXPECT_EQ(record.value.front(), 'f');
    EXPECT_EQ(record.value.back(), 'l');
  }
  EXPECT_GT(std::abs(reader.at(5).value.data() - first), std::ptrdiff_t{1} << 32);
  EXPECT_EQ(reader.at(6).value, "the last");
}

// Caffe's converters asked for that much; the file holds what was written.
TEST_F(LmdbTest, ReadsADatabaseWhoseMapIsATerabyte) {
  {
    OtherProgram writer(path_, std::size_t{1} << 40, 0);
    for (int i = 0; i < 100; ++i) writer.put(record_key(i), value_of_record(i));
    writer.commit();
  }
  EXPECT_TRUE(reads_as_written(path_, 100));
}

TEST_F(LmdbTest, ReadsWhileAProgramThatLocksReadsToo) {
  write_records(path_, 300);
  const OtherProgram caffe(path_, 0, MDB_RDONLY | MDB_NOTLS);
  EXPECT_TRUE(std::filesystem::exists(path_ + "/lock.mdb"));
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(reads_as_written(path_, 300) ? 0 : 1);
    children.push_back(child);
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(reads_as_written(path_, 300));
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

// As a train and a test net of one source do.
TEST_F(LmdbTest, OneProcessOpensADatabaseTwice) {
  write_records(path_, 100);
  LmdbReader first(path_);
  {
    LmdbReader second(path_);
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(first.at(i).value, value_of_record(i));
      EXPECT_EQ(second.at(99 - i).value, value_of_record(99 - i));
    }
  }
  for (int i = 50; i < 100; ++i) EXPECT_EQ(first.at(i).value, value_of_record(i));
}

TEST_F(LmdbTest, ReadsFromADiskThatTakesNoWrites) {
  const SmallDisk disk(folder_ / "disk", "8m");
  if (!disk.is_mounted()) GTEST_SKIP() << "a disk of its own needs root";
  const std::string path = folder_ / "disk/records.lmdb";
  write_records(path, 100);
  std::filesystem::remove(path + "/lock.mdb");
  ASSERT_EQ(mount("tmpfs", (folder_ / "disk").c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr),
            0);
  EXPECT_TRUE(reads_as_written(path, 100));
  EXPECT_TRUE(reads_as_written(path + "/data.mdb", 100));
}

TEST_F(LmdbTest, ReadsADatabaseThatCaffeWrote) {
  LmdbReader reader(source_dir() + "/tests/data/caffe/t10k_first500.lmdb");
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
