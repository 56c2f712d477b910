#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// A line of a list of pictures.
struct ListedPicture {
  std::string path;
  int label;
  /// Where it stands: "train.txt:12".
  std::string line;
};

/// Reads a list of "path label" lines; the path may hold spaces. Throws Error with file and line
/// where it is missing, empty, or a line is no such.
std::vector<ListedPicture> read_picture_list(const std::string& path);

}  // namespace vibnet
