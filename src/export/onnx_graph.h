#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "vibnet/blob.h"

namespace vibnet {

using Integers = std::vector<std::int64_t>;
using Attributes = std::vector<onnx::AttributeProto>;
/// Names of values: what nodes read and make.
using Values = std::vector<std::string>;

onnx::AttributeProto integer(const char* name, std::int64_t value);
onnx::AttributeProto integers(const char* name, const Integers& values);
onnx::AttributeProto number(const char* name, float value);
onnx::AttributeProto text(const char* name, const char* value);
onnx::AttributeProto tensor(const char* name, float value);

/// An ONNX graph in the making: nodes in their order, each value under a name of its own.
class OnnxGraph {
 public:
  explicit OnnxGraph(onnx::GraphProto* graph) : graph_(graph) {}

  /// `wish`, or `wish` with a number behind it where that is taken.
  std::string new_name(const std::string& wish);

  void add_node(const std::string& name, const char* op, const Values& inputs,
                const Values& outputs, const Attributes& attributes);

  /// Constants. Return the value's name.
  std::string add_floats(const std::string& wish, const Shape& shape, const float* values);
  std::string add_integers(const std::string& wish, const Integers& values);

 private:
  onnx::GraphProto* graph_;
  std::set<std::string> names_;
  std::set<std::string> node_names_;
};

}  // namespace vibnet
