#pragma once

#include <string>

namespace vibnet {

/// False for a PNG or JPEG file that is cut off, or a PNG whose checksums do not fit. The decoders
/// would fill what is missing with grey, or write to stderr. True for files of other kinds.
bool is_whole_picture(const std::string& bytes);

}  // namespace vibnet
