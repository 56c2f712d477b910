#pragma once

#include <string>

namespace vibnet {

/// A file descriptor that closes itself.
class File {
 public:
  /// descriptor() is negative where the file cannot be opened; errno says why.
  File(const std::string& path, int flags);
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Throws Error where there is no file, or a folder or a device.
void check_is_readable_file(const std::string& path);

}  // namespace vibnet
