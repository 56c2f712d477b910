#include <opencv2/core/utility.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <iostream>
#include <streambuf>
#include <vector>

#include "data/image/module.h"

namespace vibnet {
namespace {

/// OpenCV's interleaved rows to planes, and back.
Image to_image(const cv::Mat& mat) {
  const int channels = mat.channels();
  Image image{channels, mat.rows, mat.cols, {}};
  image.pixels.resize(mat.total() * channels);
  char* to = image.pixels.data();
  for (int c = 0; c < channels; ++c)
    for (int y = 0; y < mat.rows; ++y) {
      const auto* from = mat.ptr<char>(y) + c;
      for (int x = 0; x < mat.cols; ++x, from += channels) *to++ = *from;
    }
  return image;
}

cv::Mat to_mat(const Image& image) {
  cv::Mat mat(image.height, image.width, CV_8UC(image.channels));
  const char* from = image.pixels.data();
  for (int c = 0; c < image.channels; ++c)
    for (int y = 0; y < image.height; ++y) {
      auto* to = mat.ptr<char>(y) + c;
      for (int x = 0; x < image.width; ++x, to += image.channels) *to = *from++;
    }
  return mat;
}

thread_local bool is_silent = false;

/// Keeps off std::cerr what a thread writes to it while OpenCV decodes: imdecode tells of pictures
/// that it cannot read there, whatever its log level.
class CerrFilter : public std::streambuf {
 public:
  /// Never taken off: std::cerr may be written to until the program's very end.
  static void install() {
    [[maybe_unused]] static const auto* const filter = new CerrFilter(std::cerr.rdbuf());
  }

 private:
  explicit CerrFilter(std::streambuf* next) : next_(next) { std::cerr.rdbuf(this); }

  int_type overflow(int_type character) override {
    if (is_silent || traits_type::eq_int_type(character, traits_type::eof()))
      return traits_type::not_eof(character);
    return next_->sputc(traits_type::to_char_type(character));
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    return is_silent ? size : next_->sputn(text, size);
  }
  int sync() override { return is_silent ? 0 : next_->pubsync(); }

  std::streambuf* next_;
};

/// Silent as long as it lives.
struct Silence {
  Silence() { is_silent = true; }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  ~Silence() { is_silent = false; }
};

int flag_of(ImageColor color) {
  switch (color) {
    case ImageColor::GRAY:
      return cv::IMREAD_GRAYSCALE;
    case ImageColor::COLOR:
      return cv::IMREAD_COLOR;
    default:
      return cv::IMREAD_UNCHANGED;
  }
}

bool decode(const std::string& bytes, ImageColor color, Image* image) try {
  if (bytes.empty()) return false;
  const Silence silence;
  const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
  const cv::Mat mat = cv::imdecode(buffer, flag_of(color));
  if (mat.empty() || mat.depth() != CV_8U) return false;
  *image = to_image(mat);
  return true;
} catch (const std::exception&) {
  return false;
}

bool resize(const Image& image, int height, int width, Image* resized) try {
  cv::Mat mat;
  cv::resize(to_mat(image), mat, cv::Size(width, height));
  *resized = to_image(mat);
  return true;
} catch (const std::exception&) {
  return false;
}

bool encode(const Image& image, const std::string& extension, std::string* bytes) try {
  std::vector<unsigned char> buffer;
  if (!cv::imencode(extension, to_mat(image), buffer)) return false;
  bytes->assign(buffer.begin(), buffer.end());
  return true;
} catch (const std::exception&) {
  return false;
}

}  // namespace
}  // namespace vibnet

extern "C" const void* vibnet_image_module() {
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  cv::setNumThreads(1);
  vibnet::CerrFilter::install();
  static const vibnet::ImageModule module{vibnet::decode, vibnet::resize, vibnet::encode};
  return &module;
}
