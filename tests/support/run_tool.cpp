#include "support/run_tool.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/temporary_folder.h"

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

ToolResult run_tool(const std::string& tool, const std::vector<std::string>& arguments,
                    const std::string& folder) {
  const TemporaryFolder scratch;
  const std::string output = scratch / "output";
  const std::string errors = scratch / "errors";
  std::string path = std::string(VIBNET_TOOLS_DIR) + "/" + tool;
  std::vector<std::string> owned = arguments;
  std::vector<char*> words = {path.data()};
  for (std::string& word : owned) words.push_back(word.data());
  words.push_back(nullptr);

  const pid_t child = fork();
  if (child == 0) become(words, folder, output, errors);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    throw std::runtime_error(tool + " cannot be run");
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code == kCannotStart) throw std::runtime_error(path + " cannot be started");
  return {code, contents_of(output), contents_of(errors)};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace vibnet
