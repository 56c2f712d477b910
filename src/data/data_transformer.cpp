#include "data/data_transformer.h"

#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

Shape shape_of_datum(const Datum& datum) {
  return {datum.channels(), datum.height(), datum.width()};
}

}  // namespace

DataTransformer::DataTransformer(const TransformationParameter& parameter, Phase phase,
                                 RandomKey key)
    : parameter_(parameter), phase_(phase), key_(key) {
  if (!parameter.has_mean_file()) return;
  if (parameter.mean_value_size() > 0) fail("mean_file and mean_value are both given");
  BlobProto mean;
  read_binary(parameter.mean_file(), &mean);
  mean_.from_proto(mean);
}

Shape DataTransformer::output_shape(const Datum& datum) const {
  Shape shape = shape_of_datum(datum);
  if (mean_.count() > 0 && mean_.count() != count(shape, 0, 3))
    fail("the mean file ", parameter_.mean_file(), " is ", to_string(mean_.shape()),
         ", and the records are ", to_string(shape));
  const int means = parameter_.mean_value_size();
  if (means > 1 && means != shape[0])
    fail("has ", means, " mean_value for ", shape[0], " channels; give one, or one per channel");
  const int pad = static_cast<int>(parameter_.pad());
  shape[1] += 2 * pad;
  shape[2] += 2 * pad;
  const int crop = static_cast<int>(parameter_.crop_size());
  if (crop == 0) return shape;
  if (crop > shape[1] || crop > shape[2])
    fail("crop_size: ", crop, " is larger than the padded record, ", shape[1], "x", shape[2]);
  return {shape[0], crop, crop};
}

DataTransformer::Placement DataTransformer::place(const Shape& in, const Shape& out,
                                                  std::int64_t sample) const {
  const int pad = static_cast<int>(parameter_.pad());
  const int room_h = in[1] + 2 * pad - out[1];
  const int room_w = in[2] + 2 * pad - out[2];
  RandomSequence random(key_, static_cast<std::uint64_t>(sample));
  const bool mirrored = parameter_.mirror() && random.below(2) == 1;
  if (phase_ == TEST) return {room_h / 2 - pad, room_w / 2 - pad, mirrored};
  return {static_cast<int>(random.below(room_h + 1)) - pad,
          static_cast<int>(random.below(room_w + 1)) - pad, mirrored};
}

float DataTransformer::channel_mean(int channel) const {
  if (parameter_.mean_value_size() == 0) return 0;
  return parameter_.mean_value(parameter_.mean_value_size() == 1 ? 0 : channel);
}

void DataTransformer::transform(const Datum& datum, std::int64_t sample, float* values) const {
  const Shape in = shape_of_datum(datum);
  const Shape out = output_shape(datum);
  const Placement placement = place(in, out, sample);
  const float scale = parameter_.scale();
  const bool is_bytes = !datum.data().empty();
  const auto* bytes = reinterpret_cast<const unsigned char*>(datum.data().data());
  const float* floats = datum.float_data().data();
  const float* mean = mean_.count() > 0 ? mean_.cpu_data() : nullptr;
  for (int c = 0; c < out[0]; ++c) {
    const float flat_mean = channel_mean(c);
    for (int y = 0; y < out[1]; ++y) {
      const int row = y + placement.top;
      for (int x = 0; x < out[2]; ++x) {
        const int column = placement.left + (placement.mirrored ? out[2] - 1 - x : x);
        const bool inside = row >= 0 && row < in[1] && column >= 0 && column < in[2];
        const int i = (c * in[1] + row) * in[2] + column;
        const float raw = !inside ? 0 : is_bytes ? static_cast<float>(bytes[i]) : floats[i];
        const float off = mean != nullptr ? (inside ? mean[i] : 0) : flat_mean;
        *values++ = (raw - off) * scale;
      }
    }
  }
}

}  // namespace vibnet
