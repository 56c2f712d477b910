#pragma once

#include <string>

namespace vibnet {

/// Walks the pages of a data.mdb file. LMDB trusts its file, and a cut-off or damaged one would end
/// the process with a signal; so this looks first. Throws Error, `path` first, for a file that is
/// empty, no LMDB, cut off or damaged.
void check_lmdb_file(const std::string& file, const std::string& path);

}  // namespace vibnet
