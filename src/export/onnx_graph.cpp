#include "export/onnx_graph.h"

#include <utility>

namespace vibnet {
namespace {

onnx::AttributeProto attribute(const char* name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto attribute;
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

std::string take_name(const std::string& wish, std::set<std::string>* taken) {
  std::string name = wish;
  for (int i = 1; !taken->insert(name).second; ++i) name = wish + "_" + std::to_string(i);
  return name;
}

}  // namespace

onnx::AttributeProto integer(const char* name, std::int64_t value) {
  onnx::AttributeProto made = attribute(name, onnx::AttributeProto::INT);
  made.set_i(value);
  return made;
}

onnx::AttributeProto integers(const char* name, const Integers& values) {
  onnx::AttributeProto made = attribute(name, onnx::AttributeProto::INTS);
  made.mutable_ints()->Add(values.begin(), values.end());
  return made;
}

onnx::AttributeProto number(const char* name, float value) {
  onnx::AttributeProto made = attribute(name, onnx::AttributeProto::FLOAT);
  made.set_f(value);
  return made;
}

onnx::AttributeProto text(const char* name, const char* value) {
  onnx::AttributeProto made = attribute(name, onnx::AttributeProto::STRING);
  made.set_s(value);
  return made;
}

onnx::AttributeProto tensor(const char* name, float value) {
  onnx::AttributeProto made = attribute(name, onnx::AttributeProto::TENSOR);
  made.mutable_t()->set_data_type(onnx::TensorProto::FLOAT);
  made.mutable_t()->add_dims(1);
  made.mutable_t()->add_float_data(value);
  return made;
}

std::string OnnxGraph::new_name(const std::string& wish) { return take_name(wish, &names_); }

void OnnxGraph::add_node(const std::string& name, const char* op, const Values& inputs,
                         const Values& outputs, const Attributes& attributes) {
  onnx::NodeProto* node = graph_->add_node();
  node->set_name(take_name(name, &node_names_));
  node->set_op_type(op);
  for (const std::string& input : inputs) node->add_input(input);
  for (const std::string& output : outputs) node->add_output(output);
  node->mutable_attribute()->Add(attributes.begin(), attributes.end());
}

std::string OnnxGraph::add_floats(const std::string& wish, const Shape& shape,
                                  const float* values) {
  onnx::TensorProto* made = graph_->add_initializer();
  made->set_name(new_name(wish));
  made->set_data_type(onnx::TensorProto::FLOAT);
  made->mutable_dims()->Add(shape.begin(), shape.end());
  // ONNX's raw data is little-endian, as every machine that this is built for.
  made->set_raw_data(values, count(shape, 0, static_cast<int>(shape.size())) * sizeof(float));
  return made->name();
}

std::string OnnxGraph::add_integers(const std::string& wish, const Integers& values) {
  onnx::TensorProto* made = graph_->add_initializer();
  made->set_name(new_name(wish));
  made->set_data_type(onnx::TensorProto::INT64);
  made->add_dims(static_cast<std::int64_t>(values.size()));
  made->mutable_int64_data()->Add(values.begin(), values.end());
  return made->name();
}

}  // namespace vibnet
