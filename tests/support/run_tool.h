#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/temporary_folder.h"

namespace vibnet {

/// What a tool printed and how it ended.
struct ToolResult {
  /// 128 + N for a tool that signal N ended.
  int exit_code = -1;
  std::string output;
  std::string errors;
  /// The most memory it held at once; never less than the test held when it started the tool.
  std::int64_t peak_bytes = 0;
};

/// A tool of this build ("vibnet-train"), or a program by its whole path, that runs beside the test,
/// in `folder` if one is given.
/// Its stdin is empty. Throws std::runtime_error when it cannot be started. Killed if the test
/// forgets it.
class RunningTool {
 public:
  RunningTool(const std::string& tool, const std::vector<std::string>& arguments,
              const std::string& folder = "");
  ~RunningTool();
  RunningTool(const RunningTool&) = delete;
  RunningTool& operator=(const RunningTool&) = delete;

  void signal(int number) const;
  /// Waits until stderr holds this text; false when the tool has not said it within a minute.
  bool says(const std::string& text) const;
  ToolResult wait();

 private:
  TemporaryFolder scratch_;
  std::string path_;
  pid_t child_ = -1;
};

/// Runs a tool of this build ("vibnet-train") to its end.
ToolResult run_tool(const std::string& tool, const std::vector<std::string>& arguments,
                    const std::string& folder = "");

/// The lines of a text, without their ends.
std::vector<std::string> lines_of(const std::string& text);

}  // namespace vibnet
