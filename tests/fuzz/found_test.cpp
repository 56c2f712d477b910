// Every file that a fuzzer stopped at, through the target that it was found with.

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "fuzz/fuzz_targets.h"
#include "support/paths.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

const std::filesystem::path kFound = source_dir() + "/tests/data/fuzz";

std::vector<std::string> found_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kFound))
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  return files;
}

class FuzzFoundTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FuzzFoundTest, IsReadOrRefused) {
  const std::filesystem::path path = GetParam();
  const FuzzTarget target = fuzz_targets().at(path.parent_path().filename());
  EXPECT_NO_THROW(target(read_file(path)));
}

INSTANTIATE_TEST_SUITE_P(Files, FuzzFoundTest, ::testing::ValuesIn(found_files()),
                         [](const auto& info) {
                           const std::filesystem::path path = info.param;
                           std::string name =
                               path.parent_path().filename().string() + "_" + path.stem().string();
                           for (char& c : name) c = std::isalnum(c) ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace vibnet
