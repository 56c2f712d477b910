#include "support/paths.h"

#include <filesystem>

namespace vibnet {
namespace {

std::filesystem::path own_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace

std::string source_dir() {
  const std::filesystem::path unpacked = own_folder().parent_path() / "share" / "vibnet";
  return std::filesystem::exists(unpacked / "tests/data") ? unpacked.string() : VIBNET_SOURCE_DIR;
}

std::string tools_dir() {
  const std::filesystem::path beside = own_folder();
  return std::filesystem::exists(beside / "vibnet-train") ? beside.string() : VIBNET_TOOLS_DIR;
}

}  // namespace vibnet
