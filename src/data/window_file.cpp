#include "data/window_file.h"

#include <sstream>

#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr int kFarthest = 1 << 20;

bool is_near(int coordinate) { return coordinate >= -kFarthest && coordinate <= kFarthest; }

PictureWindow read_window(std::istream& words, int image, const std::string& where) {
  PictureWindow window{image, 0, 0, 0, 0, 0, 0};
  words >> window.label >> window.overlap >> window.x1 >> window.y1 >> window.x2 >> window.y2;
  if (!words) fail(where, " has a window that is no 'class overlap x1 y1 x2 y2'");
  if (window.label < 0) fail(where, " has a window of class ", window.label);
  if (!is_near(window.x1) || !is_near(window.y1) || !is_near(window.x2) || !is_near(window.y2) ||
      window.x2 < window.x1 || window.y2 < window.y1)
    fail(where, " has a window from ", window.x1, ",", window.y1, " to ", window.x2, ",",
         window.y2);
  return window;
}

}  // namespace

WindowFile read_window_file(const std::string& path) {
  std::istringstream words(read_file(path));
  WindowFile file;
  for (std::string hash; words >> hash;) {
    const int image = static_cast<int>(file.images.size());
    const std::string where = path + ": picture " + std::to_string(image);
    int index = -1, channels = 0, height = 0, width = 0, windows = -1;
    std::string picture;
    words >> index >> picture >> channels >> height >> width >> windows;
    if (!words || hash != "#" || windows < 0)
      fail(where, " must begin with '# ", image,
           "', its path, channels, height, width and the number of its windows");
    if (index != image) fail(where, " has the number ", index, "; they count from 0");
    if (channels != 3) fail(where, " has ", channels, " channels; pictures are read in colour, 3");
    file.images.push_back(picture);
    for (int i = 0; i < windows; ++i) file.windows.push_back(read_window(words, image, where));
  }
  if (file.images.empty()) fail(path, ": the window file is empty");
  return file;
}

}  // namespace vibnet
