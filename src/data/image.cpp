#include "data/image.h"

#include <dlfcn.h>

#include <filesystem>

#include "data/image/module.h"
#include "data/whole_picture.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kModule = "libvibnet_image.so";

/// The module beside the library that holds this code, or else where the system finds it.
void* open_module() {
  Dl_info library{};
  dladdr(reinterpret_cast<const void*>(&decode_image), &library);
  const std::string beside = std::filesystem::path(library.dli_fname).replace_filename(kModule);
  void* module = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
  return module != nullptr ? module : dlopen(kModule, RTLD_NOW | RTLD_LOCAL);
}

/// Loaded when the first picture is met: OpenCV and what it brings along take longer to load than a
/// small net to run. `where` says for whom, in the message of a build without OpenCV.
const ImageModule& image_module(const std::string& where) {
  static const ImageModule* const module = []() -> const ImageModule* {
    void* library = open_module();
    if (library == nullptr) return nullptr;
    using Entry = const ImageModule* (*)();
    const auto entry = reinterpret_cast<Entry>(dlsym(library, "vibnet_image_module"));
    return entry == nullptr ? nullptr : entry();
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
    fail(where, ": is no picture that OpenCV can read (PNG, JPEG, ...)");
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
