#include "data/datum.h"

#include <cstdint>

#include "data/image.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

void decode_in_place(const TransformationParameter& transform, const std::string& where,
                     Datum* datum) {
  if (transform.force_color() && transform.force_gray())
    fail(where, ": force_color and force_gray are both set");
  const ImageColor color = transform.force_color()  ? ImageColor::COLOR
                           : transform.force_gray() ? ImageColor::GRAY
                                                    : ImageColor::AS_STORED;
  const Image image = decode_image(datum->data(), color, where);
  datum->set_channels(image.channels);
  datum->set_height(image.height);
  datum->set_width(image.width);
  datum->set_data(image.pixels);
  datum->set_encoded(false);
}

}  // namespace

Datum read_datum(std::string_view bytes, const TransformationParameter& transform,
                 const std::string& where) {
  Datum datum;
  if (bytes.empty() || !datum.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    fail(where, ": is no Datum");
  if (datum.encoded()) decode_in_place(transform, where, &datum);
  if (datum.channels() < 1 || datum.height() < 1 || datum.width() < 1)
    fail(where, ": is no Datum with a size: ", datum.channels(), "x", datum.height(), "x",
         datum.width());
  const std::int64_t needed = std::int64_t{datum.channels()} * datum.height() * datum.width();
  const std::int64_t found = datum.data().empty() ? datum.float_data_size()
                                                  : static_cast<std::int64_t>(datum.data().size());
  if (found != needed)
    fail(where, ": holds ", found, " values, and ", datum.channels(), "x", datum.height(), "x",
         datum.width(), " needs ", needed);
  return datum;
}

}  // namespace vibnet
