#include "data/whole_picture.h"

#include <zlib.h>

#include <cstdint>
#include <string_view>

namespace vibnet {
namespace {

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpeg = "\xff\xd8";

unsigned byte_at(const std::string& bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  return byte_at(bytes, at) << 24 | byte_at(bytes, at + 1) << 16 | byte_at(bytes, at + 2) << 8 |
         byte_at(bytes, at + 3);
}

/// Chunks of length, type, data and the checksum of type and data, up to IEND.
bool is_whole_png(const std::string& bytes) {
  constexpr std::size_t kAround = 12;
  std::size_t at = kPng.size();
  while (bytes.size() - at >= kAround) {
    const std::size_t length = big_endian(bytes, at);
    if (length > bytes.size() - at - kAround) return false;
    const auto* type = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
    if (crc32(0, type, static_cast<uInt>(length + 4)) != big_endian(bytes, at + 8 + length))
      return false;
    if (bytes.compare(at + 4, 4, "IEND") == 0) return true;
    at += kAround + length;
  }
  return false;
}

/// Segments of marker, length and data, and after a start of scan the coded bytes, up to the end
/// marker.
bool is_whole_jpeg(const std::string& bytes) {
  std::size_t at = kJpeg.size();
  bool is_in_scan = false;
  while (at + 1 < bytes.size()) {
    const unsigned code = byte_at(bytes, at + 1);
    const bool is_marker = byte_at(bytes, at) == 0xff && code != 0x00 && code != 0xff;
    if (!is_marker) {
      if (!is_in_scan && byte_at(bytes, at) != 0xff) return false;
      ++at;
      continue;
    }
    if (code == 0xd9) return true;
    at += 2;
    if (code == 0x01 || (code >= 0xd0 && code <= 0xd7)) continue;
    if (at + 1 >= bytes.size()) return false;
    at += byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
    is_in_scan = code == 0xda;
  }
  return false;
}

bool starts_with(const std::string& bytes, std::string_view start) {
  return bytes.compare(0, start.size(), start) == 0;
}

}  // namespace

bool is_whole_picture(const std::string& bytes) {
  if (starts_with(bytes, kPng)) return is_whole_png(bytes);
  if (starts_with(bytes, kJpeg)) return is_whole_jpeg(bytes);
  return true;
}

}  // namespace vibnet
