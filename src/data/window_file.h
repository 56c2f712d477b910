#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// A rectangle of a picture, its edges included, and the class that it shows.
struct PictureWindow {
  int image;
  int label;
  float overlap;
  int x1, y1, x2, y2;
};

/// R-CNN's window file: pictures, and windows in them.
struct WindowFile {
  std::vector<std::string> images;
  std::vector<PictureWindow> windows;
};

/// Reads "# index", path, channels, height, width, the number of windows, and for each "class
/// overlap x1 y1 x2 y2", picture after picture. Throws Error with the file and the picture where
/// something is missing or out of bounds, indices do not count from 0, or channels are not 3.
WindowFile read_window_file(const std::string& path);

}  // namespace vibnet
