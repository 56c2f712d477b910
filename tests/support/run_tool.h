#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// What a tool printed and how it ended.
struct ToolResult {
  /// 128 + N for a tool that signal N ended.
  int exit_code = -1;
  std::string output;
  std::string errors;
};

/// Runs a tool of this build ("vibnet-train") to its end, in `folder` if one is given. Its stdin is
/// empty. Throws std::runtime_error when it cannot be started.
ToolResult run_tool(const std::string& tool, const std::vector<std::string>& arguments,
                    const std::string& folder = "");

/// The lines of a text, without their ends.
std::vector<std::string> lines_of(const std::string& text);

}  // namespace vibnet
