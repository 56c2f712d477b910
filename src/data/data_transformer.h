#pragma once

#include <cstdint>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/host_device.h"
#include "vibnet/random.h"

namespace vibnet {

/// Where a sample's crop begins in its record, negative in the padding.
struct Placement {
  int top, left;
  bool is_mirrored;
};

/// What is taken off a record's values, and what they are then multiplied by.
struct ValueRule {
  /// One mean for all values, one for each channel, or one for each value of a record.
  enum Means { OF_ALL, OF_CHANNEL, OF_VALUE } kind;
  const float* means;
  float scale;

  VIBNET_HOST_DEVICE float mean_of_padding(int channel) const {
    return kind == OF_VALUE ? 0 : means[kind == OF_ALL ? 0 : channel];
  }
  VIBNET_HOST_DEVICE float of(float value, float mean) const { return (value - mean) * scale; }
};

/// Turns a record's raw values into a net's input, as Caffe's DataTransformer does: pads with raw
/// zeros (ours), crops, mirrors, takes the mean off and scales. In TRAIN crop and mirror are drawn
/// by sample number; in TEST the crop is central and nothing is mirrored (Caffe still mirrors).
class DataTransformer {
 public:
  /// Throws Error for a mean file that cannot be read, or both mean_file and mean_value.
  DataTransformer(const TransformationParameter& parameter, Phase phase, RandomKey key);

  /// The shape that records of this one's size come out in. Throws Error for a crop that is larger
  /// than the padded record, or a mean of another size.
  Shape output_shape(const Datum& datum) const;

  /// Writes the values of `out`, which is output_shape(datum).
  void transform(const Datum& datum, const Shape& out, std::int64_t sample, float* values) const;

  /// What transform() does, for who does it elsewhere: see RawBatch.
  Placement place(const Datum& datum, const Shape& out, std::int64_t sample) const;
  ValueRule rule() const { return rule_of(means_.cpu_data()); }
  ValueRule rule_on_gpu() const { return rule_of(means_.gpu_data()); }

 private:
  ValueRule rule_of(const float* means) const;
  template <typename Value>
  void write(const Value* raw, const Shape& in, const Shape& out, const Placement& placement,
             float* values) const;

  TransformationParameter parameter_;
  Phase phase_;
  RandomKey key_;
  Blob means_;
};

}  // namespace vibnet
