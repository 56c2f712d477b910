#include "data/window_crop.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "vibnet/error.h"

namespace vibnet {
namespace {

/// One axis of a window, its pixels from `begin` to `end`; then the size that they are warped to,
/// and the empty pixels before and after.
struct Extent {
  std::int64_t begin, end;
  int size;
  int before = 0;
  int after = 0;
};

std::int64_t rounded(float value) { return static_cast<std::int64_t>(std::round(value)); }

/// Widens the extent around its middle to `half` on both sides, and takes off what is beyond the
/// picture.
Extent with_context(const Extent& in, float half, int picture, int side) {
  const float middle =
      static_cast<float>(in.begin) + static_cast<float>(in.end - in.begin + 1) / 2.0f;
  const std::int64_t begin = rounded(middle - half);
  const std::int64_t end = rounded(middle + half);
  const std::int64_t before = std::max<std::int64_t>(0, -begin);
  const std::int64_t after = std::max<std::int64_t>(0, end - picture + 1);
  const float scale = static_cast<float>(side) / static_cast<float>(end - begin + 1);
  const auto warped = [scale](std::int64_t pixels) {
    return static_cast<int>(rounded(static_cast<float>(pixels) * scale));
  };
  const std::int64_t left = std::max<std::int64_t>(0, end - after - (begin + before) + 1);
  return {begin + before, end - after, warped(left), warped(before), warped(after)};
}

Image crop(const Image& picture, const Extent& rows, const Extent& columns) {
  const auto height = static_cast<int>(rows.end - rows.begin + 1);
  const auto width = static_cast<int>(columns.end - columns.begin + 1);
  Image image{picture.channels, height, width, {}};
  image.pixels.reserve(std::size_t(picture.channels) * height * width);
  for (int c = 0; c < picture.channels; ++c)
    for (std::int64_t y = rows.begin; y <= rows.end; ++y)
      image.pixels.append(picture.pixels,
                          (std::size_t(c) * picture.height + y) * picture.width + columns.begin,
                          width);
  return image;
}

void mirror(Image* image) {
  const auto rows = static_cast<std::int64_t>(image->channels) * image->height;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto begin = image->pixels.begin() + row * image->width;
    std::reverse(begin, begin + image->width);
  }
}

}  // namespace

WarpedWindow cut_window(const Image& picture, const PictureWindow& window, const WindowCut& cut,
                        bool is_mirrored) {
  Extent columns{window.x1, window.x2, cut.side};
  Extent rows{window.y1, window.y2, cut.side};
  if (cut.context_pad > 0 || cut.is_square) {
    const float scale =
        static_cast<float>(cut.side) / static_cast<float>(cut.side - 2 * cut.context_pad);
    float half_height = static_cast<float>(window.y2 - window.y1 + 1) / 2.0f;
    float half_width = static_cast<float>(window.x2 - window.x1 + 1) / 2.0f;
    if (cut.is_square) half_height = half_width = std::max(half_height, half_width);
    columns = with_context(columns, half_width * scale, picture.width, cut.side);
    rows = with_context(rows, half_height * scale, picture.height, cut.side);
  }
  const int left = is_mirrored ? columns.after : columns.before;
  const int height = std::min(rows.size, cut.side - rows.before);
  const int width = std::min(columns.size, cut.side - left);
  const bool is_inside = columns.begin >= 0 && rows.begin >= 0 && columns.end < picture.width &&
                         rows.end < picture.height && columns.begin <= columns.end &&
                         rows.begin <= rows.end && height > 0 && width > 0;
  if (!is_inside)
    fail("the window from ", window.x1, ",", window.y1, " to ", window.x2, ",", window.y2,
         " does not lie in the picture of ", picture.height, "x", picture.width);
  Image warped = resize_image(crop(picture, rows, columns), height, width);
  if (is_mirrored) mirror(&warped);
  return {std::move(warped), rows.before, left};
}

}  // namespace vibnet
