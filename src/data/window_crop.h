#pragma once

#include "data/image.h"
#include "data/window_file.h"

namespace vibnet {

/// How a window is cut out: warped to side x side pixels; the narrower side widened to a square
/// first; with context around it that is `context_pad` wide when warped.
struct WindowCut {
  int side;
  int context_pad;
  bool is_square;
};

/// A warped window, and where it stands in the side x side pixels; around it the picture ends.
struct WarpedWindow {
  Image image;
  int top;
  int left;
};

/// Cuts a window out of its picture, as Caffe's WindowData does. Throws Error where no pixel of it
/// lies in the picture, or, without context, not all of them.
WarpedWindow cut_window(const Image& picture, const PictureWindow& window, const WindowCut& cut,
                        bool is_mirrored);

}  // namespace vibnet
