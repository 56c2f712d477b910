#pragma once

#include <string>
#include <vector>

#include "data/lmdb.h"
#include "vibnet.pb.h"

namespace vibnet {

/// A Datum of these raw bytes.
inline Datum make_datum(int channels, int height, int width, const std::string& bytes, int label) {
  Datum datum;
  datum.set_channels(channels);
  datum.set_height(height);
  datum.set_width(width);
  datum.set_data(bytes);
  datum.set_label(label);
  return datum;
}

/// Writes the datums to a new database, with the keys of Caffe's converters.
inline void write_lmdb(const std::string& path, const std::vector<Datum>& datums) {
  LmdbWriter writer(path);
  for (std::size_t i = 0; i < datums.size(); ++i)
    writer.put(record_key(i), datums[i].SerializeAsString());
  writer.finish();
}

}  // namespace vibnet
