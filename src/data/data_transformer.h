#pragma once

#include <cstdint>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/random.h"

namespace vibnet {

/// Turns a record's raw values into a net's input: pads, crops, mirrors, takes the mean off and
/// scales, as Caffe's DataTransformer does; in TRAIN crops and mirrors at random, by sample number.
class DataTransformer {
 public:
  /// Throws Error for a mean file that cannot be read, or both mean_file and mean_value.
  DataTransformer(const TransformationParameter& parameter, Phase phase, RandomKey key);

  /// The shape that records of this one's size come out in. Throws Error for a crop that is larger
  /// than the padded record, or a mean of another size.
  Shape output_shape(const Datum& datum) const;

  /// Writes the values of output_shape(datum).
  void transform(const Datum& datum, std::int64_t sample, float* values) const;

 private:
  struct Placement {
    int top, left;
    bool mirrored;
  };

  Placement place(const Shape& in, const Shape& out, std::int64_t sample) const;
  float channel_mean(int channel) const;

  TransformationParameter parameter_;
  Phase phase_;
  RandomKey key_;
  Blob mean_;
};

}  // namespace vibnet
