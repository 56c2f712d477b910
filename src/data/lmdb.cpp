#include "data/lmdb.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/file.h"
#include "data/lmdb_check.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr std::size_t kFirstMapBytes = std::size_t{64} << 20;
constexpr std::size_t kBytesOfACommit = std::size_t{16} << 20;
constexpr std::size_t kRecordsOfACommit = 1000;

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
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
  const std::string file = is_folder(path) ? path + "/data.mdb" : path;
  if (!exists(file)) fail(path, ": there is no LMDB database here (", file, " is missing)");
  check_lmdb_file(file, path);
  MDB_env* environment = nullptr;
  check(mdb_env_create(&environment));
  environment_.reset(environment);
  // No lock file: nothing writes to a database once it stands under its name.
  check(mdb_env_open(environment, file.c_str(), MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | MDB_NOSUBDIR,
                     0444));
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
  const std::int64_t last = position_;
  position_ = position;
  if (!records_.empty()) return records_[position];
  if (position == 0) return move(MDB_FIRST);
  if (position == last) return move(MDB_GET_CURRENT);
  if (position == last + 1) return move(MDB_NEXT);
  index_keys();
  return records_[position];
}

LmdbWriter::LmdbWriter(const std::string& path)
    : path_(path.substr(0, path.find_last_not_of('/') + 1)),
      place_(behind_links(path_)),
      temporary_(place_ + ".tmp" + std::to_string(getpid())),
      map_bytes_(kFirstMapBytes) {
  if (exists(path)) fail(path, ": exists already; remove it or give another name");
  std::error_code error;
  std::filesystem::create_directory(temporary_, error);
  if (error) fail(path, ": cannot be written: ", error.message());
  try {
    check(mdb_env_create(&environment_));
    check(mdb_env_set_mapsize(environment_, map_bytes_));
    check(mdb_env_open(environment_, temporary_.c_str(), MDB_NOSYNC | MDB_NOLOCK, 0664));
    begin();
  } catch (const Error&) {
    discard();
    throw;
  }
}

LmdbWriter::~LmdbWriter() { discard(); }

void LmdbWriter::discard() {
  if (transaction_ != nullptr) mdb_txn_abort(transaction_);
  if (environment_ != nullptr) mdb_env_close(environment_);
  std::error_code ignored;
  std::filesystem::remove_all(temporary_, ignored);
}

void LmdbWriter::check(int status) const {
  if (status == MDB_SUCCESS) return;
  // LMDB says EIO of a write that was cut short.
  const int reason = status == EIO ? ENOSPC : status;
  fail(path_, ": cannot be written: ", mdb_strerror(reason));
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
  clear_pending();
  for (const auto& [key, value] : again) put(key, value);
}

void LmdbWriter::put(const std::string& key, const std::string& value) {
  if (key.empty() || key.size() > static_cast<std::size_t>(mdb_env_get_maxkeysize(environment_)))
    fail(path_, ": key '", key, "' has ", key.size(), " bytes, and LMDB takes 1 to ",
         mdb_env_get_maxkeysize(environment_));
  pending_.emplace_back(key, value);
  pending_bytes_ += key.size() + value.size();
  MDB_val mdb_key = value_of(key);
  MDB_val mdb_value = value_of(value);
  const int status = mdb_put(transaction_, database_, &mdb_key, &mdb_value, MDB_APPEND);
  if (status == MDB_MAP_FULL) return grow();
  if (status == MDB_KEYEXIST)
    fail(path_, ": key '", key, "' does not come after the one before it");
  check(status);
  if (pending_bytes_ > kBytesOfACommit || pending_.size() >= kRecordsOfACommit) commit();
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
  clear_pending();
  begin();
}

void LmdbWriter::clear_pending() {
  pending_.clear();
  pending_bytes_ = 0;
}

void LmdbWriter::finish() {
  commit();
  check(mdb_env_sync(environment_, 1));
  mdb_txn_abort(transaction_);
  transaction_ = nullptr;
  mdb_env_close(environment_);
  environment_ = nullptr;
  std::error_code error;
  std::filesystem::rename(temporary_, place_, error);
  if (error) fail(path_, ": cannot be written: ", error.message());
}

std::string record_key(std::size_t number, std::size_t digits) {
  const std::string text = std::to_string(number);
  return std::string(digits - std::min(digits, text.size()), '0') + text;
}

}  // namespace vibnet
