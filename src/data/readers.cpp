#include "data/readers.h"

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>

#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr std::uint32_t kIdxImages = 0x803;
constexpr std::uint32_t kIdxLabels = 0x801;
constexpr int kCifarSide = 32;
constexpr int kCifarPixels = 3 * kCifarSide * kCifarSide;

struct GzipCloser {
  void operator()(gzFile file) const { gzclose(file); }
};

/// The whole file, unpacked where it is gzipped.
std::string read_maybe_gzipped(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return read_file(path);  // says why it cannot
  const std::unique_ptr<gzFile_s, GzipCloser> file(gzopen(path.c_str(), "rb"));
  if (!file) fail(path, ": cannot be read");
  std::string bytes;
  char buffer[1 << 16];
  int n = 0;
  while ((n = gzread(file.get(), buffer, sizeof(buffer))) > 0) bytes.append(buffer, n);
  int status = Z_OK;
  gzerror(file.get(), &status);
  if (n < 0 || (status != Z_OK && status != Z_STREAM_END))
    fail(path, ": is cut off, or its gzip form is broken");
  return bytes;
}

std::uint32_t big_endian(const std::string& bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return value;
}

/// Checks magic number, dimensions and size; returns how many items the file holds.
std::uint64_t check_idx(const std::string& path, const std::string& bytes, std::uint32_t magic,
                        std::size_t header, const char* what) {
  if (bytes.size() < header || big_endian(bytes, 0) != magic)
    fail(path, ": is no IDX file of ", what);
  const std::uint64_t found = bytes.size() - header;
  std::uint64_t expected = 1;
  for (std::size_t at = 4; at < header; at += 4) {
    const std::uint64_t dimension = big_endian(bytes, at);
    if (dimension == 0) fail(path, ": holds no ", what);
    // What is beyond the file already is not multiplied on, so that nothing overflows.
    expected = expected > found ? expected : expected * dimension;
  }
  if (found != expected)
    fail(path, ": holds ", found, " bytes of ", what, ", and its header says ", expected,
         found < expected ? " or more: it is cut off" : ": it is too long");
  return big_endian(bytes, 4);
}

Datum make_datum(int channels, int height, int width, std::string pixels, int label) {
  Datum datum;
  datum.set_channels(channels);
  datum.set_height(height);
  datum.set_width(width);
  datum.set_data(std::move(pixels));
  datum.set_label(label);
  return datum;
}

[[noreturn]] void fail_label(const std::string& path, std::uint64_t record, int label,
                             int classes) {
  fail(path, ": record ", record, " has label ", label, ", and labels go from 0 to ", classes - 1);
}

}  // namespace

std::vector<Datum> read_idx(const std::string& images, const std::string& labels, int classes) {
  const std::string image_bytes = read_maybe_gzipped(images);
  const std::string label_bytes = read_maybe_gzipped(labels);
  if (image_bytes.empty()) fail(images, ": is empty");
  if (label_bytes.empty()) fail(labels, ": is empty");
  const std::uint64_t count = check_idx(images, image_bytes, kIdxImages, 16, "images");
  const std::uint64_t label_count = check_idx(labels, label_bytes, kIdxLabels, 8, "labels");
  if (count != label_count)
    fail(labels, ": holds ", label_count, " labels for the ", count, " images of ", images);
  const int height = static_cast<int>(big_endian(image_bytes, 8));
  const int width = static_cast<int>(big_endian(image_bytes, 12));
  const std::size_t size = static_cast<std::size_t>(height) * width;
  std::vector<Datum> records;
  for (std::uint64_t i = 0; i < count; ++i) {
    const int label = static_cast<unsigned char>(label_bytes[8 + i]);
    if (label >= classes) fail_label(labels, i, label, classes);
    records.push_back(make_datum(1, height, width, image_bytes.substr(16 + i * size, size), label));
  }
  return records;
}

std::vector<Datum> read_cifar(const std::string& path, CifarKind kind) {
  const std::string bytes = read_maybe_gzipped(path);
  // CIFAR-100 puts a coarse label before the fine one.
  const std::size_t label_bytes = kind == CifarKind::CIFAR10 ? 1 : 2;
  const int classes = kind == CifarKind::CIFAR10 ? 10 : 100;
  const std::size_t record = label_bytes + kCifarPixels;
  if (bytes.empty()) fail(path, ": is empty");
  if (bytes.size() % record != 0)
    fail(path, ": holds ", bytes.size(), " bytes, which is no whole number of CIFAR records of ",
         record, "; it is cut off or of another kind");
  std::vector<Datum> records;
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    const int label = static_cast<unsigned char>(bytes[at + label_bytes - 1]);
    if (label >= classes) fail_label(path, at / record, label, classes);
    records.push_back(
        make_datum(3, kCifarSide, kCifarSide, bytes.substr(at + label_bytes, kCifarPixels), label));
  }
  return records;
}

}  // namespace vibnet
