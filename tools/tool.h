#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "vibnet/device.h"

namespace vibnet {

/// Wrong flags or arguments: the tool prints the message and exits 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What --help says of a tool.
struct Tool {
  const char* name;
  const char* summary;
  const char* usage;
  const char* example;
};

/// Parses the flags, sets up logging and calls `body` with the arguments that are no flags.
/// Returns the exit code: body's own; 1 and one line for an Error; 2 for wrong flags; 0 for --help.
int run_tool(const Tool& tool, int argc, char** argv,
             int (*body)(const std::vector<std::string>& arguments));

/// Throws UsageError when a flag that the tool cannot do without is empty.
void require_flag(const char* name, const std::string& value);

/// What --device says, made current, and how a GPU is to compute. Throws UsageError when it is
/// neither cpu, gpu nor gpu:N, Error when there is no such GPU.
Device device_flag(const std::string& value, const GpuMath& math = GpuMath());

}  // namespace vibnet
