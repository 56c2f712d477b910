#include "export/layer_export.h"

#include <algorithm>
#include <utility>

#include "vibnet/error.h"

namespace vibnet {

int Value::size(int axis) const {
  if (dims[axis] == kFree) throw NeedsFixedBatch();
  return static_cast<int>(dims[axis]);
}

LayerExport::LayerExport(const Layer& layer, std::vector<Value> bottoms, std::vector<Value> tops,
                         OnnxGraph* graph)
    : layer_(layer), bottoms_(std::move(bottoms)), tops_(std::move(tops)), graph_(graph) {}

std::string LayerExport::weight(int index, const Shape& shape) {
  return graph_->add_floats(layer_.name() + "/" + std::to_string(index), shape,
                            weight_blob(index).cpu_data());
}

std::string LayerExport::floats(const Shape& shape, const std::vector<float>& values) {
  return graph_->add_floats(layer_.name() + "/constant", shape, values.data());
}

std::string LayerExport::ints(const Integers& values) {
  return graph_->add_integers(layer_.name() + "/constant", values);
}

std::string LayerExport::step(const char* op, const Values& inputs, const Attributes& attributes) {
  return steps(1, op, inputs, attributes)[0];
}

Values LayerExport::steps(int outputs, const char* op, const Values& inputs,
                          const Attributes& attributes) {
  const std::string name = layer_.name() + "/" + op;
  Values made;
  for (int i = 0; i < outputs; ++i) made.push_back(graph_->new_name(name));
  graph_->add_node(name, op, inputs, made, attributes);
  return made;
}

void LayerExport::make_top(int index, const char* op, const Values& inputs,
                           const Attributes& attributes) {
  graph_->add_node(layer_.name(), op, inputs, {tops_[index].name}, attributes);
}

void LayerExport::make_tops(const char* op, const Values& inputs, const Attributes& attributes) {
  Values outputs;
  for (const Value& top : tops_) outputs.push_back(top.name);
  graph_->add_node(layer_.name(), op, inputs, outputs, attributes);
}

std::string LayerExport::reshaped(const std::string& value, const Integers& dims) {
  if (std::count(dims.begin(), dims.end(), kFree) > 1) throw NeedsFixedBatch();
  return step("Reshape", {value, ints(dims)});
}

void LayerExport::reshape_top(int index, const std::string& value) {
  const Integers& dims = top(index).dims;
  if (std::count(dims.begin(), dims.end(), kFree) > 1) throw NeedsFixedBatch();
  make_top(index, "Reshape", {value, ints(dims)});
}

Shape LayerExport::broadcast_shape(int axis, const Shape& values) const {
  Shape shape = values;
  shape.resize(std::max<std::size_t>(values.size(), bottom().axes() - axis), 1);
  return shape;
}

void LayerExport::fail(const std::string& what) const {
  vibnet::fail("layer '", layer_.name(), "' (", layer_.type(), "): ", what);
}

}  // namespace vibnet
