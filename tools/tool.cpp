#include "tool.h"

#include <gflags/gflags.h>
#include <glog/logging.h>

#include <cstdlib>
#include <iostream>
#include <new>

#include "vibnet/error.h"

// gflags declares it in no header; Debian builds it in the namespace google.
namespace google {
extern void (*gflags_exitfunc)(int);
}

namespace vibnet {
namespace {

bool is_own_flag(const gflags::CommandLineFlagInfo& flag) {
  return flag.filename.find("/vibnet_") != std::string::npos || flag.name == "log_dir";
}

void print_help(const Tool& tool) {
  std::cout << tool.name << ": " << tool.summary << "\n\nusage: " << tool.usage << "\n\n";
  std::vector<gflags::CommandLineFlagInfo> flags;
  gflags::GetAllFlags(&flags);
  for (const auto& flag : flags)
    if (is_own_flag(flag))
      std::cout << "  --" << flag.name << "  " << flag.description
                << (flag.default_value.empty() ? "" : " (default " + flag.default_value + ")")
                << "\n";
  std::cout << "\nexample:\n  " << tool.example << "\n";
}

bool wants_help(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-help" || argument == "-h") return true;
    if (argument == "--") return false;
  }
  return false;
}

void log_to_stderr(const char* name) {
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(name);
}

int report(const Tool& tool, const std::exception& error, int code) {
  std::cerr << tool.name << ": " << error.what() << "\n";
  return code;
}

}  // namespace

void require_flag(const char* name, const std::string& value) {
  if (value.empty()) throw UsageError("--" + std::string(name) + " is missing; see --help");
}

Device device_flag(const std::string& value, const GpuMath& math) {
  gpu_math() = math;
  Device device;
  try {
    device = parse_device(value);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  use_device(device);
  return device;
}

int run_tool(const Tool& tool, int argc, char** argv,
             int (*body)(const std::vector<std::string>& arguments)) {
  if (wants_help(argc, argv)) {
    print_help(tool);
    return 0;
  }
  google::gflags_exitfunc = [](int) { std::exit(2); };
  gflags::ParseCommandLineNonHelpFlags(&argc, &argv, true);
  log_to_stderr(tool.name);
  try {
    return body({argv + 1, argv + argc});
  } catch (const UsageError& error) {
    return report(tool, error, 2);
  } catch (const std::bad_alloc&) {
    return report(tool, Error("out of memory"), 1);
  } catch (const std::exception& error) {
    return report(tool, error, 1);
  }
}

}  // namespace vibnet
