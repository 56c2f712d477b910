#pragma once

#include <map>
#include <string>
#include <vector>

#include "export/onnx_graph.h"
#include "vibnet/layer.h"

namespace vibnet {

/// A dimension that grows with the batch.
constexpr std::int64_t kFree = -1;

/// A rule needs a dimension that grows with the batch as a number: the batch must be fixed.
struct NeedsFixedBatch {};

/// A value of the graph: its name, and its shape, where kFree stands for what grows with the batch.
struct Value {
  std::string name;
  Integers dims;

  int axes() const { return static_cast<int>(dims.size()); }
  /// A negative axis counts from the back, as in Blob.
  int axis(int index) const { return index < 0 ? index + axes() : index; }
  /// Throws NeedsFixedBatch where the dimension is free.
  int size(int axis) const;
};

/// What a rule works on: one layer with its weights and the values of its bottoms. The rule makes
/// nodes for it and gives each top the value that they end in.
class LayerExport {
 public:
  LayerExport(const Layer& layer, std::vector<Value> bottoms, std::vector<Value> tops,
              OnnxGraph* graph);

  const Layer& layer() const { return layer_; }
  const LayerParameter& parameter() const { return layer_.parameter(); }
  const std::vector<Value>& bottoms() const { return bottoms_; }
  const Value& bottom(int index = 0) const { return bottoms_[index]; }
  /// Its name is what the top is called if nodes make it, or what it is an alias of.
  const Value& top(int index = 0) const { return tops_[index]; }
  const std::vector<Value>& tops() const { return tops_; }

  bool has_weight(int index) const { return index < static_cast<int>(layer_.blobs().size()); }
  const Blob& weight_blob(int index) const { return *layer_.blobs()[index]; }
  /// The blob as a constant, in a shape of its own or another one.
  std::string weight(int index) { return weight(index, weight_blob(index).shape()); }
  std::string weight(int index, const Shape& shape);

  std::string floats(const Shape& shape, const std::vector<float>& values);
  std::string scalar(float value) { return floats({}, {value}); }
  std::string ints(const Integers& values);

  /// A node on the way. Returns the value it makes.
  std::string step(const char* op, const Values& inputs, const Attributes& attributes = {});
  /// The same for an op with several outputs.
  Values steps(int outputs, const char* op, const Values& inputs,
               const Attributes& attributes = {});
  /// The node that makes a top, or all tops.
  void make_top(int index, const char* op, const Values& inputs, const Attributes& attributes = {});
  void make_tops(const char* op, const Values& inputs, const Attributes& attributes = {});
  /// The top is this value as it stands.
  void alias(int top, const std::string& value) { tops_[top].name = value; }

  /// The value reshaped to these dimensions. Throws NeedsFixedBatch if more than one is free.
  std::string reshaped(const std::string& value, const Integers& dims);
  /// The top is the value, reshaped.
  void reshape_top(int index, const std::string& value);

  /// The shape in which values that stand at `axis` and behind broadcast over the bottom: C x 1 x 1
  /// for the channels of N x C x H x W.
  Shape broadcast_shape(int axis, const Shape& values) const;

  [[noreturn]] void fail(const std::string& what) const;

 private:
  const Layer& layer_;
  std::vector<Value> bottoms_;
  std::vector<Value> tops_;
  OnnxGraph* graph_;
};

}  // namespace vibnet
