#include "data/data_transformer.h"

#include <algorithm>

#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr std::uint32_t kMaxPad = 1 << 15;

Shape shape_of_datum(const Datum& datum) {
  return {datum.channels(), datum.height(), datum.width()};
}

/// Caffe's mean files say 1 x C x H x W.
Shape without_batch_axis(const Shape& shape) {
  return shape.size() == 4 && shape[0] == 1 ? Shape(shape.begin() + 1, shape.end()) : shape;
}

}  // namespace

DataTransformer::DataTransformer(const TransformationParameter& parameter, Phase phase,
                                 RandomKey key)
    : parameter_(parameter), phase_(phase), key_(key) {
  if (parameter.pad() > kMaxPad) fail("pad: ", parameter.pad(), " is over ", kMaxPad);
  const int values = parameter.mean_value_size();
  if (!parameter.has_mean_file()) {
    means_.reshape({std::max(1, values)});
    std::copy_n(parameter.mean_value().begin(), values, means_.mutable_cpu_data());
    return;
  }
  if (values > 0) fail("mean_file and mean_value are both given; give one");
  BlobProto mean;
  read_binary(parameter.mean_file(), &mean);
  means_.from_proto(mean);
  if (means_.count() == 0) fail(parameter.mean_file(), ": holds no mean values");
}

Shape DataTransformer::output_shape(const Datum& datum) const {
  Shape shape = shape_of_datum(datum);
  if (parameter_.has_mean_file() && without_batch_axis(means_.shape()) != shape)
    fail("the mean file ", parameter_.mean_file(), " is ", to_string(means_.shape()),
         ", and the records are ", to_string(shape));
  const int means = parameter_.mean_value_size();
  if (means > 1 && means != shape[0])
    fail("has ", means, " mean_value for ", shape[0], " channels; give one, or one per channel");
  const int pad = static_cast<int>(parameter_.pad());
  shape[1] += 2 * pad;
  shape[2] += 2 * pad;
  const std::int64_t crop = parameter_.crop_size();
  if (crop == 0) return shape;
  if (crop > shape[1] || crop > shape[2])
    fail("crop_size: ", crop, " is larger than the padded record, ", shape[1], "x", shape[2]);
  return {shape[0], static_cast<int>(crop), static_cast<int>(crop)};
}

Placement DataTransformer::place(const Datum& datum, const Shape& out, std::int64_t sample) const {
  const int pad = static_cast<int>(parameter_.pad());
  const int room_h = datum.height() + 2 * pad - out[1];
  const int room_w = datum.width() + 2 * pad - out[2];
  if (phase_ == TEST) return {room_h / 2 - pad, room_w / 2 - pad, false};
  RandomSequence random(key_, static_cast<std::uint64_t>(sample));
  const bool is_mirrored = parameter_.mirror() && random.below(2) == 1;
  const int top = room_h == 0 ? 0 : static_cast<int>(random.below(room_h + 1));
  const int left = room_w == 0 ? 0 : static_cast<int>(random.below(room_w + 1));
  return {top - pad, left - pad, is_mirrored};
}

ValueRule DataTransformer::rule_of(const float* means) const {
  const ValueRule::Means kind = parameter_.has_mean_file()         ? ValueRule::OF_VALUE
                                : parameter_.mean_value_size() > 1 ? ValueRule::OF_CHANNEL
                                                                   : ValueRule::OF_ALL;
  return {kind, means, parameter_.scale()};
}

template <typename Value>
void DataTransformer::write(const Value* raw, const Shape& in, const Shape& out,
                            const Placement& placement, float* values) const {
  const ValueRule rule = this->rule();
  // The columns of a row that come from the record; the rest is padding.
  const int begin = std::clamp(-placement.left, 0, out[2]);
  const int end = std::clamp(in[2] - placement.left, begin, out[2]);
  for (int c = 0; c < out[0]; ++c) {
    const float mean = rule.mean_of_padding(c);
    for (int y = 0; y < out[1]; ++y, values += out[2]) {
      const int row = y + placement.top;
      const bool is_inside = row >= 0 && row < in[1] && begin < end;
      if (!is_inside || begin > 0 || end < out[2]) std::fill_n(values, out[2], rule.of(0, mean));
      if (!is_inside) continue;
      const std::int64_t first = (std::int64_t{c} * in[1] + row) * in[2] + placement.left + begin;
      const Value* from = raw + first;
      float* to = values + begin;
      if (rule.kind == ValueRule::OF_VALUE) {
        const float* means = rule.means + first;
        for (int x = 0; x < end - begin; ++x) to[x] = rule.of(from[x], means[x]);
      } else {
        for (int x = 0; x < end - begin; ++x) to[x] = rule.of(from[x], mean);
      }
      if (placement.is_mirrored) std::reverse(values, values + out[2]);
    }
  }
}

void DataTransformer::transform(const Datum& datum, const Shape& out, std::int64_t sample,
                                float* values) const {
  const Shape in = shape_of_datum(datum);
  const Placement placement = place(datum, out, sample);
  if (datum.data().empty())
    write(datum.float_data().data(), in, out, placement, values);
  else
    write(reinterpret_cast<const unsigned char*>(datum.data().data()), in, out, placement, values);
}

}  // namespace vibnet
