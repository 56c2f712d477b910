#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// A small net for the ONNX check.
struct OnnxCase {
  std::string name;
  /// A prototxt with Input layers. Their tops are filled with noise; those whose names begin with
  /// "index", "positive" or "steps" with small integers, positive numbers, or a few levels with
  /// many ties.
  std::string prototxt;
};

/// Nets of one layer: every export rule, every parameter.
std::vector<OnnxCase> layer_cases();

/// Nets of several layers: branches, layers in place, heads that go, names that clash.
std::vector<OnnxCase> graph_cases();

}  // namespace vibnet
