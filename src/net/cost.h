#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vibnet/net.h"

namespace vibnet {

struct LayerCost {
  std::string name;
  std::string type;
  std::vector<Shape> tops;
  std::int64_t weights = 0;     // values of parameters of two axes and more
  std::int64_t parameters = 0;  // all values of parameters
  double flops = 0;             // of one forward pass
};

struct NetCost {
  std::vector<LayerCost> layers;
  std::int64_t weights = 0;
  std::int64_t parameters = 0;
  double flops = 0;
  /// The most bytes of blobs that are alive at once in a forward pass: a blob is from the layer
  /// that makes it to its last reader, an output to the end. In-place tops, Split's and Flatten's
  /// are their bottom's memory.
  std::int64_t activation_bytes = 0;
};

/// What the net costs at its present shapes. Shared parameters count once.
NetCost cost_of(const Net& net);

}  // namespace vibnet
