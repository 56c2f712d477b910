#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"

namespace vibnet {

/// What blobs hold, by name.
struct Values {
  Shape shape;
  std::vector<float> values;
};
using NamedValues = std::map<std::string, Values>;

/// Gaussian values for every Input top of the net's TEST phase, the same for the same key.
NamedValues noise_for(const NetParameter& model, std::uint64_t key);

/// The net's outputs in TEST with these values in its Input tops.
NamedValues outputs_of(const NetParameter& model, const NetParameter& weights,
                       const NamedValues& inputs);

float largest_of(const std::vector<float>& values);

/// The largest difference of an output to the expected one, relative to that one's largest value,
/// with 1e-2 in place of a smaller one. Infinite where names, sizes or finiteness differ.
double difference(const NamedValues& expected, const NamedValues& found);

}  // namespace vibnet
