#pragma once

#include <string>

namespace vibnet {

/// A picture as Datum holds it: channels x height x width bytes, colours in the order B, G, R.
struct Image {
  int channels = 0;
  int height = 0;
  int width = 0;
  std::string pixels;
};

/// AS_STORED keeps an alpha channel, and no turning that a JPEG asks for.
enum class ImageColor { AS_STORED, GRAY, COLOR };

/// Decodes a PNG, JPEG or other picture. Throws Error, `where` first, if it is none, or if this
/// build or machine has no OpenCV.
Image decode_image(const std::string& bytes, ImageColor color, const std::string& where);

/// The image scaled to height x width.
Image resize_image(const Image& image, int height, int width);

/// The image as a file of the kind that `extension` names (".png", ".jpg").
std::string encode_image(const Image& image, const std::string& extension);

}  // namespace vibnet
