#include "data/image.h"

#include <cstdlib>

#include "data/image/module.h"
#include "data/module.h"
#include "data/whole_picture.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kModule = "libvibnet_image.so";
/// A file of some bytes can ask for any size of picture; OpenCV's own bound is 2^30 pixels.
constexpr const char* kMostPixels = "134217728";

/// OpenCV reads it as it is loaded, which may be in a thread; setenv is safe before there are any.
[[maybe_unused]] const bool kIsBounded = setenv("OPENCV_IO_MAX_IMAGE_PIXELS", kMostPixels, 0) == 0;

/// Loaded when the first picture is met: OpenCV and what it brings along take longer to load than a
/// small net to run. `where` says for whom, in the message of a build without OpenCV.
const ImageModule& image_module(const std::string& where) {
  static const auto* const module = [] {
    return static_cast<const ImageModule*>(load_module(kModule, "vibnet_image_module"));
  }();
  if (module == nullptr)
    fail(where, ": a picture needs OpenCV, and ", kModule,
         " cannot be loaded: build vibnet with -DWITH_OPENCV=ON");
  return *module;
}

}  // namespace

Image decode_image(const std::string& bytes, ImageColor color, const std::string& where) {
  const ImageModule& module = image_module(where);
  Image image;
  if (!is_whole_picture(bytes)) fail(where, ": the picture is cut off or damaged");
  if (!module.decode(bytes, color, &image))
    fail(where, ": is no picture of 8 bits a value that OpenCV can read (PNG, JPEG, ...)");
  return image;
}

Image resize_image(const Image& image, int height, int width) {
  Image resized;
  if (!image_module("resizing").resize(image, height, width, &resized))
    fail("cannot scale a picture of ", image.height, "x", image.width, " to ", height, "x", width);
  return resized;
}

std::string encode_image(const Image& image, const std::string& extension) {
  std::string bytes;
  if (!image_module("encoding").encode(image, extension, &bytes))
    fail("cannot encode a picture as '", extension, "'; .png and .jpg work");
  return bytes;
}

}  // namespace vibnet
