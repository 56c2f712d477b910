#include "data/lmdb.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr std::size_t kFirstMapBytes = std::size_t{64} << 20;
constexpr std::size_t kBytesOfACommit = std::size_t{16} << 20;
constexpr std::size_t kRecordsOfACommit = 1000;

std::filesystem::path data_file(const std::string& path) {
  return std::filesystem::is_directory(path) ? std::filesystem::path(path) / "data.mdb"
                                             : std::filesystem::path(path);
}

MDB_val value_of(const std::string& bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

}  // namespace

void LmdbReader::check(int status) const {
  if (status == MDB_SUCCESS) return;
  if (status == MDB_INVALID || status == MDB_VERSION_MISMATCH)
    fail(path_, ": is not an LMDB database");
  fail(path_, ": cannot be read as LMDB: ", mdb_strerror(status));
}

LmdbReader::LmdbReader(const std::string& path) : path_(path) {
  if (!std::filesystem::exists(data_file(path)))
    fail(path, ": there is no LMDB database here (data.mdb is missing)");
  MDB_env* environment = nullptr;
  check(mdb_env_create(&environment));
  environment_.reset(environment);
  const unsigned as_file = std::filesystem::is_directory(path) ? 0 : MDB_NOSUBDIR;
  // No lock file: nothing writes to a database once it stands under its name.
  check(
      mdb_env_open(environment, path.c_str(), MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | as_file, 0444));
  check_is_whole();
  MDB_txn* transaction = nullptr;
  check(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction));
  transaction_.reset(transaction);
  MDB_dbi database = 0;
  check(mdb_dbi_open(transaction, nullptr, 0, &database));
  MDB_stat stat;
  check(mdb_stat(transaction, database, &stat));
  size_ = static_cast<std::int64_t>(stat.ms_entries);
  if (size_ == 0) fail(path, ": the LMDB database is empty");
  MDB_cursor* cursor = nullptr;
  check(mdb_cursor_open(transaction, database, &cursor));
  cursor_.reset(cursor);
}

/// A page past the end of a cut-off file would end the process with SIGBUS.
void LmdbReader::check_is_whole() const {
  MDB_envinfo info;
  check(mdb_env_info(environment_.get(), &info));
  MDB_stat stat;
  check(mdb_env_stat(environment_.get(), &stat));
  const std::uintmax_t needed = (std::uintmax_t{info.me_last_pgno} + 1) * stat.ms_psize;
  const std::uintmax_t found = std::filesystem::file_size(data_file(path_));
  if (found < needed)
    fail(path_, ": the LMDB database is cut off: ", found, " of ", needed, " bytes are there");
}

Record LmdbReader::move(MDB_cursor_op operation) {
  MDB_val key;
  MDB_val value;
  check(mdb_cursor_get(cursor_.get(), &key, &value, operation));
  return {{static_cast<const char*>(key.mv_data), key.mv_size},
          {static_cast<const char*>(value.mv_data), value.mv_size}};
}

void LmdbReader::index_keys() {
  records_.reserve(size_);
  records_.push_back(move(MDB_FIRST));
  while (static_cast<std::int64_t>(records_.size()) < size_) records_.push_back(move(MDB_NEXT));
}

Record LmdbReader::at(std::int64_t position) {
  const bool is_next = position == position_ + 1;
  position_ = position;
  if (!records_.empty()) return records_[position];
  if (position == 0) return move(MDB_FIRST);
  if (is_next) return move(MDB_NEXT);
  index_keys();
  return records_[position];
}

LmdbWriter::LmdbWriter(const std::string& path)
    : path_(path),
      temporary_(path + ".tmp" + std::to_string(getpid())),
      map_bytes_(kFirstMapBytes) {
  if (std::filesystem::exists(path)) fail(path, ": exists already; remove it or give another name");
  std::error_code error;
  std::filesystem::create_directory(temporary_, error);
  if (error) fail(path, ": cannot be written: ", error.message());
  try {
    check(mdb_env_create(&environment_));
    check(mdb_env_set_mapsize(environment_, map_bytes_));
    check(mdb_env_open(environment_, temporary_.c_str(), MDB_NOSYNC, 0664));
    begin();
  } catch (const Error&) {
    std::filesystem::remove_all(temporary_, error);
    throw;
  }
}

LmdbWriter::~LmdbWriter() {
  if (transaction_ != nullptr) mdb_txn_abort(transaction_);
  if (environment_ != nullptr) mdb_env_close(environment_);
  std::error_code ignored;
  std::filesystem::remove_all(temporary_, ignored);
}

void LmdbWriter::check(int status) const {
  if (status != MDB_SUCCESS) fail(path_, ": cannot be written: ", mdb_strerror(status));
}

void LmdbWriter::begin() {
  check(mdb_txn_begin(environment_, nullptr, 0, &transaction_));
  check(mdb_dbi_open(transaction_, nullptr, 0, &database_));
}

void LmdbWriter::grow() {
  if (transaction_ != nullptr) mdb_txn_abort(transaction_);
  transaction_ = nullptr;
  map_bytes_ *= 2;
  check(mdb_env_set_mapsize(environment_, map_bytes_));
  begin();
  const auto again = std::move(pending_);
  pending_.clear();
  for (const auto& [key, value] : again) put(key, value);
}

void LmdbWriter::put(const std::string& key, const std::string& value) {
  pending_.emplace_back(key, value);
  MDB_val mdb_key = value_of(key);
  MDB_val mdb_value = value_of(value);
  const int status = mdb_put(transaction_, database_, &mdb_key, &mdb_value, MDB_APPEND);
  if (status == MDB_MAP_FULL) return grow();
  if (status == MDB_KEYEXIST)
    fail(path_, ": key '", key, "' does not come after the one before it");
  check(status);
  if (pending_.size() * value.size() > kBytesOfACommit || pending_.size() >= kRecordsOfACommit)
    commit();
}

void LmdbWriter::commit() {
  MDB_txn* transaction = transaction_;
  transaction_ = nullptr;
  const int status = mdb_txn_commit(transaction);
  if (status == MDB_MAP_FULL) {
    grow();
    return commit();
  }
  check(status);
  pending_.clear();
  begin();
}

void LmdbWriter::finish() {
  commit();
  check(mdb_env_sync(environment_, 1));
  mdb_txn_abort(transaction_);
  transaction_ = nullptr;
  mdb_env_close(environment_);
  environment_ = nullptr;
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  if (error) fail(path_, ": cannot be written: ", error.message());
}

std::string record_key(std::size_t number) {
  constexpr std::size_t kDigits = 8;
  const std::string digits = std::to_string(number);
  return std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

}  // namespace vibnet
