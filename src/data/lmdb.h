#pragma once

#include <lmdb.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vibnet {

/// A record as it stands in the database's memory map: valid while its reader is.
struct Record {
  std::string_view key;
  std::string_view value;
};

/// Reads a database, its folder or a single file, record by record. Several processes may read one
/// at a time, and it may lie on a read-only disk. Throws Error with the path where it is missing,
/// empty, cut off, damaged or no LMDB. One thread at a time.
class LmdbReader {
 public:
  explicit LmdbReader(const std::string& path);

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }

  /// The record at this place in key order; the next one is the cheapest to ask for.
  Record at(std::int64_t position);

 private:
  struct Closer {
    void operator()(MDB_env* environment) const { mdb_env_close(environment); }
    void operator()(MDB_txn* transaction) const { mdb_txn_abort(transaction); }
    void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
  };

  void check(int status) const;
  Record move(MDB_cursor_op operation);
  void index_keys();

  std::string path_;
  std::int64_t size_ = 0;
  std::int64_t position_ = -1;
  std::unique_ptr<MDB_env, Closer> environment_;
  std::unique_ptr<MDB_txn, Closer> transaction_;
  std::unique_ptr<MDB_cursor, Closer> cursor_;
  /// Where each record stands in the map; made when one out of order is asked for.
  std::vector<Record> records_;
};

/// Writes a new database: under a temporary name until finish(), so that what stands at the path is
/// always whole. Throws Error if the path exists already.
class LmdbWriter {
 public:
  explicit LmdbWriter(const std::string& path);
  LmdbWriter(const LmdbWriter&) = delete;
  LmdbWriter& operator=(const LmdbWriter&) = delete;
  ~LmdbWriter();

  /// Keys must be given in rising order, and once each.
  void put(const std::string& key, const std::string& value);
  void finish();

 private:
  void check(int status) const;
  void begin();
  /// Closes all, and removes what finish() has not put in place.
  void discard();
  void commit();
  void grow();
  void clear_pending();

  std::string path_;
  std::string place_;
  std::string temporary_;
  MDB_env* environment_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  MDB_dbi database_ = 0;
  std::size_t map_bytes_;
  /// Put since the last commit: put again when the map had to grow.
  std::vector<std::pair<std::string, std::string>> pending_;
  std::size_t pending_bytes_ = 0;
};

/// "00000042": the key of the record with this number, as Caffe's converters write it.
std::string record_key(std::size_t number, std::size_t digits = 8);

}  // namespace vibnet
