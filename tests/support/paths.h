#pragma once

#include <string>

namespace vibnet {

/// Where models/ and tests/data stand: beside the test's own folder where both were unpacked from an
/// archive, else where they were built from.
std::string source_dir();
/// Where the tools of this build stand.
std::string tools_dir();

}  // namespace vibnet
