#include "data/picture_list.h"

#include <sstream>

#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

bool is_label(const std::string& text) {
  const std::string digits = text.substr(0, 1) == "-" ? text.substr(1) : text;
  return !digits.empty() && digits.size() <= 9 &&
         digits.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::vector<ListedPicture> read_picture_list(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::vector<ListedPicture> pictures;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::size_t end = line.find_last_not_of(" \t\r");
    if (end == std::string::npos) continue;
    line.resize(end + 1);
    const std::size_t space = line.find_last_of(" \t");
    const std::string label = space == std::string::npos ? "" : line.substr(space + 1);
    if (!is_label(label))
      fail(path, ":", number, ": needs a picture's path, a space and a whole number as its label");
    pictures.push_back({line.substr(0, line.find_last_not_of(" \t", space) + 1), std::stoi(label),
                        path + ":" + std::to_string(number)});
  }
  if (pictures.empty()) fail(path, ": lists no pictures");
  return pictures;
}

}  // namespace vibnet
