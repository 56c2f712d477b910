#include "export/to_onnx.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "export/layer_export.h"
#include "export/onnx_graph.h"
#include "export/rules.h"
#include "net/deploy.h"
#include "net/filter.h"
#include "vibnet/error.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr int kOpset = 13;
/// The version of the file format that came with that opset.
constexpr int kIrVersion = 7;
constexpr const char* kBatch = "N";

using InputShapes = std::map<std::string, Shape>;
/// The dimensions of each blob, kFree for what grows with the batch.
using Dims = std::map<std::string, Integers>;

bool has_shape(const NetParameter& net, const std::string& input) {
  for (const LayerParameter& layer : net.layer())
    if (std::count(layer.top().begin(), layer.top().end(), input) > 0 && layer.bottom_size() == 0)
      return layer.type() == "Input";
  return false;
}

/// What the options state, else what the net's data layers make of their data.
InputShapes find_input_shapes(const NetParameter& net, const ExportOptions& options) {
  const std::vector<std::string> inputs = deployed_inputs(net);
  if (inputs.empty()) fail("the net has no input in TEST");
  InputShapes shapes;
  if (!options.input_shape.empty()) {
    if (inputs.size() > 1)
      fail("the net has ", inputs.size(), " inputs, and one shape is given; state the shapes in ",
           "Input layers");
    shapes[inputs[0]] = options.input_shape;
    return shapes;
  }
  if (std::all_of(inputs.begin(), inputs.end(),
                  [&](const std::string& input) { return has_shape(net, input); }))
    return shapes;
  try {
    const Net with_data(net, NetOptions());
    for (const std::string& input : inputs) shapes[input] = with_data.blob(input)->shape();
  } catch (const Error& error) {
    fail(error.what(), "; without its data the net can be exported with --input_shape");
  }
  return shapes;
}

Dims dims_of(const Net& net) {
  Dims dims;
  for (const std::string& name : net.blob_names()) {
    const Shape& shape = net.blob(name)->shape();
    dims[name] = Integers(shape.begin(), shape.end());
  }
  return dims;
}

void grow_inputs(int by, Net* net) {
  for (const std::string& name : net->input_names()) {
    Shape shape = net->blob(name)->shape();
    if (!shape.empty()) shape[0] += by;
    net->blob(name)->reshape(shape);
  }
  net->reshape();
}

/// With kFree where a larger batch makes a blob larger; without any where the net takes no other.
Dims free_dims_of(Net* net) {
  Dims dims = dims_of(*net);
  try {
    grow_inputs(1, net);
  } catch (const Error&) {
    grow_inputs(-1, net);
    return dims;
  }
  const Dims grown = dims_of(*net);
  grow_inputs(-1, net);
  for (auto& [name, sizes] : dims)
    for (std::size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i] != grown.at(name)[i]) sizes[i] = kFree;
  return dims;
}

/// The value that each top of each layer becomes. Blobs that are changed in place are several
/// values; the last one has the blob's name, for the net's outputs, but an input keeps its own.
class ValueNames {
 public:
  ValueNames(const Net& net, OnnxGraph* graph) {
    for (const std::string& input : net.input_names()) graph->new_name(input);
    std::map<std::string, int> last;
    const auto count = static_cast<int>(net.layers().size());
    for (int i = 0; i < count; ++i)
      for (const std::string& top : net.layers()[i]->parameter().top()) last[top] = i;
    for (int i = 0; i < count; ++i) {
      names_.emplace_back();
      const Layer& layer = *net.layers()[i];
      for (const std::string& top : layer.parameter().top())
        names_.back().push_back(layer.type() == "Input" ? top
                                : last[top] == i        ? graph->new_name(top)
                                                 : graph->new_name(top + "/" + layer.name()));
    }
  }
  const std::string& top(int layer, int index) const { return names_[layer][index]; }

 private:
  std::vector<Values> names_;
};

class Exporter {
 public:
  Exporter(const Net& net, const Dims& dims)
      : net_(net), dims_(dims), graph_(model_.mutable_graph()) {}

  onnx::ModelProto run() {
    model_.set_ir_version(kIrVersion);
    model_.set_producer_name("vibnet");
    model_.add_opset_import()->set_version(kOpset);
    model_.mutable_graph()->set_name(net_.name().empty() ? "net" : net_.name());
    const ValueNames names(net_, &graph_);
    for (const std::string& input : net_.input_names()) {
      declare(input, input, model_.mutable_graph()->add_input());
      values_[input] = input;
    }
    for (int i = 0; i < static_cast<int>(net_.layers().size()); ++i)
      if (net_.layers()[i]->type() != "Input") export_layer(i, names);
    if (net_.output_names().empty()) fail("the net has no output in TEST");
    for (const std::string& output : net_.output_names()) add_output(output);
    return std::move(model_);
  }

 private:
  void export_layer(int index, const ValueNames& names) {
    const Layer& layer = *net_.layers()[index];
    const ExportRule rule = find_export_rule(layer.type());
    if (rule == nullptr) fail("layer '", layer.name(), "' (", layer.type(), "): has no ONNX form");
    const LayerParameter& parameter = layer.parameter();
    std::vector<Value> bottoms;
    for (const std::string& bottom : parameter.bottom())
      bottoms.push_back({values_.at(bottom), dims_.at(bottom)});
    std::vector<Value> tops;
    for (int i = 0; i < parameter.top_size(); ++i)
      tops.push_back({names.top(index, i), dims_.at(parameter.top(i))});
    LayerExport work(layer, std::move(bottoms), std::move(tops), &graph_);
    rule(&work);
    for (int i = 0; i < parameter.top_size(); ++i) {
      values_[parameter.top(i)] = work.top(i).name;
      wished_names_[parameter.top(i)] = names.top(index, i);
    }
  }

  /// An output has a value of its own, not an alias.
  void add_output(const std::string& blob) {
    const auto wished = wished_names_.find(blob);
    if (wished == wished_names_.end())
      fail("the net's output in TEST would be its input '", blob, "', which no layer reads");
    const std::string& name = wished->second;
    if (values_.at(blob) != name) graph_.add_node(name, "Identity", {values_.at(blob)}, {name}, {});
    declare(name, blob, model_.mutable_graph()->add_output());
  }

  void declare(const std::string& value, const std::string& blob, onnx::ValueInfoProto* info) {
    info->set_name(value);
    onnx::TypeProto::Tensor* type = info->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    type->mutable_shape();
    const Integers& dims = dims_.at(blob);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      onnx::TensorShapeProto::Dimension* dim = type->mutable_shape()->add_dim();
      if (dims[i] != kFree)
        dim->set_dim_value(dims[i]);
      else if (grows_as_the_batch(blob, i))
        dim->set_dim_param(kBatch);
    }
  }

  /// Not a multiple of the batch.
  bool grows_as_the_batch(const std::string& blob, std::size_t axis) const {
    const Blob& input = *net_.blob(net_.input_names()[0]);
    return net_.blob(blob)->shape(static_cast<int>(axis)) == input.shape(0);
  }

  const Net& net_;
  const Dims& dims_;
  onnx::ModelProto model_;
  OnnxGraph graph_;
  std::map<std::string, std::string> values_;
  /// What each blob's last value is called unless it is an alias.
  std::map<std::string, std::string> wished_names_;
};

bool has_weights(const Net& net) {
  return std::any_of(net.layers().begin(), net.layers().end(),
                     [](const auto& layer) { return !layer->blobs().empty(); });
}

void check_not_empty(const Net& net) {
  for (const std::string& name : net.blob_names())
    if (net.blob(name)->count() == 0)
      fail("blob '", name, "' is empty, ", to_string(net.blob(name)->shape()),
           "; an ONNX model needs the shapes of a real input");
}

}  // namespace

onnx::ModelProto to_onnx(const NetParameter& model, const NetParameter& weights,
                         const std::string& source, const ExportOptions& options) {
  NetState state = model.state();
  state.set_phase(TEST);
  const NetParameter test = filter_net(model, state);
  const NetParameter deploy = deploy_net(test, find_input_shapes(test, options));
  Net net(deploy, NetOptions());
  if (has_weights(net)) net.copy_weights(weights, source, Missing::FAIL);
  check_not_empty(net);
  const Dims free = free_dims_of(&net);
  try {
    return Exporter(net, free).run();
  } catch (const NeedsFixedBatch&) {
    return Exporter(net, dims_of(net)).run();
  }
}

}  // namespace vibnet
