#include "data/datum.h"

#include <cstdint>
#include <utility>

#include "data/image.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

void decode_in_place(const TransformationParameter& transform, const std::string& where,
                     Datum* datum) {
  if (transform.force_color() && transform.force_gray())
    fail(where, ": is a picture, and force_color and force_gray are both set; set one");
  const ImageColor color = transform.force_color()  ? ImageColor::COLOR
                           : transform.force_gray() ? ImageColor::GRAY
                                                    : ImageColor::AS_STORED;
  Image image = decode_image(datum->data(), color, where);
  datum->set_channels(image.channels);
  datum->set_height(image.height);
  datum->set_width(image.width);
  datum->set_data(std::move(image.pixels));
  datum->clear_float_data();
  datum->set_encoded(false);
}

/// channels x height x width; -1 where one is missing or the product is beyond any record.
std::int64_t size_of(const Datum& datum) {
  constexpr std::int64_t kMost = 1 << 30;
  std::int64_t size = 1;
  for (const std::int64_t dimension : {datum.channels(), datum.height(), datum.width()}) {
    if (dimension < 1 || dimension > kMost / size) return -1;
    size *= dimension;
  }
  return size;
}

}  // namespace

std::string name_of(const Record& record, const std::string& path) {
  return path + ": record '" + std::string(record.key) + "'";
}

void complete_datum(const TransformationParameter& transform, const std::string& where,
                    Datum* datum) {
  if (datum->encoded()) decode_in_place(transform, where, datum);
  const std::int64_t needed = size_of(*datum);
  const std::int64_t found = datum->data().empty()
                                 ? datum->float_data_size()
                                 : static_cast<std::int64_t>(datum->data().size());
  if (needed < 1 || found != needed)
    fail(where, " is no whole Datum: it states ", datum->channels(), "x", datum->height(), "x",
         datum->width(), ", and holds ", found, " values");
}

void read_datum(const Record& record, const TransformationParameter& transform,
                const std::string& path, Datum* datum) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  if (record.value.empty() || record.value.size() > kMostBytes ||
      !datum->ParseFromArray(record.value.data(), static_cast<int>(record.value.size())))
    fail(name_of(record, path), " is no Datum");
  complete_datum(transform, name_of(record, path), datum);
}

}  // namespace vibnet
