#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"

namespace vibnet {

/// A net of models/ and what is published of it.
struct PublishedNet {
  const char* folder;
  Shape input;
  int classes;
  /// In TEST, without BatchNorm's statistics and the bottlenecks' parameters.
  std::int64_t parameters;
  /// The multiply-adds of one sample's convolutions and inner products, in millions.
  double mega_multiply_adds;
};

std::ostream& operator<<(std::ostream& out, const PublishedNet& net);
/// "squeezenet_v1_1": the folder as a test's name.
std::string test_name(const PublishedNet& net);
const std::vector<PublishedNet>& published_nets();

/// The path of a file of models/.
std::string model_file(const std::string& folder, const std::string& file);

/// The net without its bottlenecks.
NetParameter without_bottlenecks(const NetParameter& net);
/// The net with a bottleneck behind each ReLU; as it is if it has bottlenecks.
NetParameter with_bottlenecks(const NetParameter& net);

}  // namespace vibnet
