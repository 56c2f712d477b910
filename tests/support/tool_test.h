#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "support/run_tool.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"

namespace vibnet {

/// A folder of the test's own, and tools that run in it.
class ToolTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { write_file(folder_ / name, text); }
  std::string read(const std::string& name) const { return read_file(folder_ / name); }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

  ToolResult run(const std::string& tool, const std::vector<std::string>& arguments) {
    return run_tool(tool, arguments, folder_.path().string());
  }

  /// The tool fails with this exit code; it complains once, in its last line, which holds `what`.
  static void expect_error(const ToolResult& result, const std::string& what, int code = 1) {
    EXPECT_EQ(result.exit_code, code) << result.errors;
    const std::vector<std::string> lines = lines_of(result.errors);
    ASSERT_FALSE(lines.empty());
    EXPECT_NE(lines.back().find(what), std::string::npos) << result.errors;
    const auto complaints = std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
      return line.rfind("vibnet-", 0) == 0;
    });
    EXPECT_EQ(complaints, 1) << result.errors;
  }

  TemporaryFolder folder_;
};

}  // namespace vibnet
