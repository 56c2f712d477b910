#include "support/run_tool.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "support/paths.h"

namespace vibnet {
namespace {

constexpr int kCannotStart = 127;

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Makes this process the tool; comes back from nothing.
[[noreturn]] void become(const std::vector<char*>& words, const std::string& folder,
                         const std::string& output, const std::string& errors) {
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(output.c_str(), O_WRONLY | O_CREAT, 0600);
  const int err = open(errors.c_str(), O_WRONLY | O_CREAT, 0600);
  const bool is_ready = dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
                        dup2(err, STDERR_FILENO) >= 0 &&
                        (folder.empty() || chdir(folder.c_str()) == 0);
  if (is_ready) execv(words[0], words.data());
  _exit(kCannotStart);
}

}  // namespace

RunningTool::RunningTool(const std::string& tool, const std::vector<std::string>& arguments,
                         const std::string& folder)
    : path_(std::filesystem::path(tools_dir()) / tool) {
  std::vector<std::string> owned = arguments;
  std::vector<char*> words = {path_.data()};
  for (std::string& word : owned) words.push_back(word.data());
  words.push_back(nullptr);
  child_ = fork();
  if (child_ == 0) become(words, folder, scratch_ / "output", scratch_ / "errors");
  if (child_ < 0) throw std::runtime_error(tool + " cannot be run");
}

RunningTool::~RunningTool() {
  if (child_ < 0) return;
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

void RunningTool::signal(int number) const { kill(child_, number); }

bool RunningTool::says(const std::string& text) const {
  using namespace std::chrono_literals;
  for (int i = 0; i < 6000; ++i) {
    if (contents_of(scratch_ / "errors").find(text) != std::string::npos) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

ToolResult RunningTool::wait() {
  int status = 0;
  rusage usage{};
  if (wait4(child_, &status, 0, &usage) != child_) throw std::runtime_error(path_ + " is lost");
  child_ = -1;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code == kCannotStart) throw std::runtime_error(path_ + " cannot be started");
  return {code, contents_of(scratch_ / "output"), contents_of(scratch_ / "errors"),
          usage.ru_maxrss * std::int64_t{1024}};
}

ToolResult run_tool(const std::string& tool, const std::vector<std::string>& arguments,
                    const std::string& folder) {
  return RunningTool(tool, arguments, folder).wait();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace vibnet
