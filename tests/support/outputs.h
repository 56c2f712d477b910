#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/compress.h"

namespace vibnet {

/// What blobs hold, by name.
struct BlobValues {
  Shape shape;
  std::vector<float> values;
};
using NamedValues = std::map<std::string, BlobValues>;

/// Gaussian values for every Input top of the net's TEST phase, the same for the same key.
NamedValues noise_for(const NetParameter& model, std::uint64_t key);

/// The net's outputs in TEST with these values in its Input tops; in place of its losses their
/// weighted sum, "objective".
NamedValues outputs_of(const NetParameter& model, const NetParameter& weights,
                       const NamedValues& inputs);

float largest_of(const std::vector<float>& values);

/// The largest difference of an output to the expected one, relative to that one's largest value,
/// with 1e-2 in place of a smaller one; infinite for what is not finite. Throws where names or
/// shapes differ.
double difference(const NamedValues& expected, const NamedValues& found);

bool is_finite(const NamedValues& values);

/// A net of Input layers in its form for deployment, its batch as it is.
NetParameter without_heads(const NetParameter& model);

/// The layers of TRAIN as layers of every phase, so that they run without noise.
NetParameter training_form(const NetParameter& model);

/// The larger of the differences between a masked net of Input layers and what compression made of
/// it, with their heads, and in their forms for deployment at the masked net's batch.
double difference_of_outputs(const NetParameter& model, const NetParameter& weights,
                             const CompressedNet& compressed);

/// The same of their forms of training, for which all weights must be there.
double difference_in_training(const NetParameter& model, const NetParameter& weights,
                              const CompressedNet& compressed);

}  // namespace vibnet
