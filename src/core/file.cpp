#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "vibnet/error.h"

namespace vibnet {

File::File(const std::string& path, int flags) : descriptor_(open(path.c_str(), flags, 0666)) {}

File::~File() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string behind_links(const std::string& path) {
  constexpr int kMostLinks = 40;  // Linux's own bound
  std::filesystem::path file(path);
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code error;
    const std::filesystem::path next = std::filesystem::read_symlink(file, error);
    if (error) return file.string();
    file = file.parent_path() / next;
  }
  fail(path, ": cannot be written: ", std::strerror(ELOOP));
}

bool is_stream(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return false;
  return !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

void check_is_readable_file(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) fail(path, ": cannot be read: ", std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(path, ": is a folder, and a file is needed");
  // A device may give bytes without end.
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
    fail(path, ": is a device, and a file is needed");
}

}  // namespace vibnet
