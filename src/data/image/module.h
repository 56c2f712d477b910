#pragma once

#include "data/image.h"

namespace vibnet {

/// What libvibnet_image.so exports as `vibnet_image_module`. Functions return false where OpenCV
/// cannot do it, and throw nothing.
struct ImageModule {
  bool (*decode)(const std::string& bytes, ImageColor color, Image* image);
  bool (*resize)(const Image& image, int height, int width, Image* resized);
  bool (*encode)(const Image& image, const std::string& extension, std::string* bytes);
};

}  // namespace vibnet
