#include <opencv2/core/utility.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "data/image/module.h"

namespace vibnet {
namespace {

/// OpenCV's interleaved rows to planes, and back.
Image to_image(const cv::Mat& mat) {
  Image image{mat.channels(), mat.rows, mat.cols, {}};
  image.pixels.resize(mat.total() * mat.channels());
  std::size_t i = 0;
  for (int c = 0; c < mat.channels(); ++c)
    for (int y = 0; y < mat.rows; ++y)
      for (int x = 0; x < mat.cols; ++x)
        image.pixels[i++] = static_cast<char>(mat.ptr(y)[x * mat.channels() + c]);
  return image;
}

cv::Mat to_mat(const Image& image) {
  cv::Mat mat(image.height, image.width, CV_8UC(image.channels));
  std::size_t i = 0;
  for (int c = 0; c < image.channels; ++c)
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x)
        mat.ptr(y)[x * image.channels + c] = static_cast<unsigned char>(image.pixels[i++]);
  return mat;
}

int flag_of(ImageColor color) {
  switch (color) {
    case ImageColor::GRAY:
      return cv::IMREAD_GRAYSCALE;
    case ImageColor::COLOR:
      return cv::IMREAD_COLOR;
    default:
      return cv::IMREAD_ANYCOLOR;
  }
}

bool decode(const std::string& bytes, ImageColor color, Image* image) try {
  if (bytes.empty()) return false;
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

extern "C" const vibnet::ImageModule* vibnet_image_module() {
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  cv::setNumThreads(1);
  static const vibnet::ImageModule module{vibnet::decode, vibnet::resize, vibnet::encode};
  return &module;
}
