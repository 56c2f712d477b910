#pragma once

#include <cstdint>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/random.h"

namespace vibnet {

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

 private:
  /// Where the crop begins in the record, negative in the padding.
  struct Placement {
    int top, left;
    bool is_mirrored;
  };

  Placement place(const Shape& in, const Shape& out, std::int64_t sample) const;
  float channel_mean(int channel) const;
  template <typename Value>
  void write(const Value* raw, const Shape& in, const Shape& out, const Placement& placement,
             float* values) const;

  TransformationParameter parameter_;
  Phase phase_;
  RandomKey key_;
  /// Empty without a mean file.
  Blob mean_;
};

}  // namespace vibnet
