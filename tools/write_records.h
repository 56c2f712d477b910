#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "vibnet.pb.h"

namespace vibnet {

struct NamedRecord {
  std::string key;
  Datum datum;
};

/// Writes `count` records, made one by one, to a new LMDB, and says on stderr how far it is, on
/// stdout what is done. Returns the tool's exit code: 0, or 130 after ^C (or SIGTERM, SIGHUP),
/// which leaves nothing behind. Throws Error if the path exists already.
int write_records(const std::string& path, std::size_t count,
                  const std::function<NamedRecord(std::size_t)>& make);

}  // namespace vibnet
