#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vibnet/error.h"

namespace vibnet {

File::File(const std::string& path, int flags) : descriptor_(open(path.c_str(), flags, 0666)) {}

File::~File() {
  if (descriptor_ >= 0) close(descriptor_);
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
