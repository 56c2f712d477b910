#include "data/image.h"

#include <dlfcn.h>

#include <filesystem>

#include "data/image/module.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// The file beside the library that holds this code.
std::string module_path() {
  Dl_info library{};
  dladdr(reinterpret_cast<const void*>(&decode_image), &library);
  return std::filesystem::path(library.dli_fname).replace_filename("libvibnet_image.so");
}

/// Loaded when the first picture is met: OpenCV and what it brings along take longer to load than a
/// small net to run.
const ImageModule& image_module() {
  static const ImageModule* const module = []() -> const ImageModule* {
    void* library = dlopen(module_path().c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return nullptr;
    using Entry = const ImageModule* (*)();
    const auto entry = reinterpret_cast<Entry>(dlsym(library, "vibnet_image_module"));
    return entry == nullptr ? nullptr : entry();
  }();
  if (module == nullptr)
    fail("pictures need OpenCV: build vibnet with WITH_OPENCV=ON (", module_path(),
         " cannot be loaded)");
  return *module;
}

}  // namespace

Image decode_image(const std::string& bytes, ImageColor color, const std::string& where) {
  Image image;
  if (!image_module().decode(bytes, color, &image))
    fail(where, ": is no picture that OpenCV can read (PNG, JPEG, ...), or is cut off");
  return image;
}

Image resize_image(const Image& image, int height, int width) {
  Image resized;
  if (!image_module().resize(image, height, width, &resized))
    fail("cannot scale a picture of ", image.height, "x", image.width, " to ", height, "x", width);
  return resized;
}

std::string encode_image(const Image& image, const std::string& extension) {
  std::string bytes;
  if (!image_module().encode(image, extension, &bytes))
    fail("cannot write a picture as '", extension, "'; .png and .jpg work");
  return bytes;
}

}  // namespace vibnet
