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

/// The path of what symbolic links lead to in the end, whether it is there or not. Throws Error for
/// links that lead round in a circle.
std::string behind_links(const std::string& path);

/// Whether what is there takes bytes and is no file to be replaced: a device, a pipe.
bool is_stream(const std::string& path);

/// Throws Error where there is no file, or a folder or a device.
void check_is_readable_file(const std::string& path);

}  // namespace vibnet
