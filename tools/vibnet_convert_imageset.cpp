#include <gflags/gflags.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "data/image.h"
#include "data/lmdb.h"
#include "data/picture_list.h"
#include "tool.h"
#include "vibnet.pb.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"
#include "vibnet/random.h"
#include "write_records.h"

DEFINE_int32(resize_height, 0, "scale every picture to this height; 0 keeps it");
DEFINE_int32(resize_width, 0, "scale every picture to this width; 0 keeps it");
DEFINE_bool(gray, false, "read the pictures in grey");
DEFINE_bool(shuffle, false, "write the records in a drawn order");
DEFINE_int64(seed, 1, "what --shuffle draws from");
DEFINE_bool(encoded, false, "keep the pictures in their files' form (JPEG, PNG, ...)");

namespace {

void shuffle(std::vector<vibnet::ListedPicture>* entries) {
  vibnet::RandomSequence random(
      vibnet::random_key(static_cast<std::uint64_t>(FLAGS_seed), "convert-imageset"));
  for (std::size_t i = entries->size() - 1; i > 0; --i)
    std::swap((*entries)[i], (*entries)[random.below(static_cast<std::uint32_t>(i + 1))]);
}

vibnet::Image resized(const vibnet::Image& image) {
  return vibnet::resize_image(image, FLAGS_resize_height > 0 ? FLAGS_resize_height : image.height,
                              FLAGS_resize_width > 0 ? FLAGS_resize_width : image.width);
}

/// The picture in the form that the file it came from has.
std::string encoded_like(const std::filesystem::path& path, const vibnet::Image& image) {
  try {
    return vibnet::encode_image(image, path.extension());
  } catch (const vibnet::Error& error) {
    vibnet::fail(path.string(), ": ", error.what());
  }
}

/// What the records state, field by field, is what Caffe's convert_imageset writes.
vibnet::Datum read_record(const std::string& root, const vibnet::ListedPicture& entry) {
  if (entry.label < 0) vibnet::fail("needs a picture's path, a space and a label from 0 on");
  const std::filesystem::path path = std::filesystem::path(root) / entry.path;
  const std::string bytes = vibnet::read_file(path);
  const auto color = FLAGS_gray ? vibnet::ImageColor::GRAY : vibnet::ImageColor::COLOR;
  vibnet::Image image = vibnet::decode_image(bytes, color, path);
  const bool resizes = FLAGS_resize_height > 0 || FLAGS_resize_width > 0;
  if (resizes) image = resized(image);
  vibnet::Datum datum;
  datum.set_label(entry.label);
  datum.set_encoded(FLAGS_encoded);
  if (FLAGS_encoded) {
    datum.set_data(resizes || FLAGS_gray ? encoded_like(path, image) : bytes);
    return datum;
  }
  datum.set_channels(image.channels);
  datum.set_height(image.height);
  datum.set_width(image.width);
  datum.set_data(std::move(image.pixels));
  return datum;
}

int convert(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) throw vibnet::UsageError("needs ROOT LIST.txt OUT.lmdb; see --help");
  if (FLAGS_resize_height < 0 || FLAGS_resize_width < 0)
    throw vibnet::UsageError("--resize_height and --resize_width cannot be negative");
  std::vector<vibnet::ListedPicture> entries = vibnet::read_picture_list(arguments[1]);
  if (FLAGS_shuffle) shuffle(&entries);
  return vibnet::write_records(arguments[2], entries.size(), [&](std::size_t i) {
    try {
      return vibnet::NamedRecord{vibnet::record_key(i) + "_" + entries[i].path,
                                 read_record(arguments[0], entries[i])};
    } catch (const vibnet::Error& error) {
      vibnet::fail(entries[i].line, ": ", error.what());
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-convert-imageset", "writes pictures, listed as \"path label\" a line, as LMDB",
      "vibnet-convert-imageset ROOT LIST.txt OUT.lmdb [flags]",
      "vibnet-convert-imageset photos/ train.txt train.lmdb --resize_height 32 --resize_width 32"};
  return vibnet::run_tool(tool, argc, argv, convert);
}
