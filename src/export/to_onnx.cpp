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
/// The dimensions of each top of each layer, kFree for what grows with the batch. Not of each blob:
/// a layer in place may give its blob another shape.
using Dims = std::vector<std::vector<Integers>>;

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

void grow(int by, const Blobs& inputs) {
  for (Blob* input : inputs) {
    Shape shape = input->shape();
    if (!shape.empty()) shape[0] += by;
    input->reshape(shape);
  }
}

/// Reshapes the net to the shapes of its Input layers with `more` samples.
Dims dims_of(Net* net, int more = 0) {
  Dims dims;
  for (int i = 0; i < static_cast<int>(net->layers().size()); ++i) {
    Layer& layer = *net->layers()[i];
    const Blobs& tops = net->tops(i);
    if (layer.type() == "Input") {
      layer.set_up({}, tops);
      grow(more, tops);
    }
    layer.reshape(net->bottoms(i), tops);
    dims.emplace_back();
    for (const Blob* top : tops) dims.back().emplace_back(top->shape().begin(), top->shape().end());
  }
  return dims;
}

/// With kFree where a larger batch makes a blob larger; without any where the net takes no other.
Dims free_dims_of(Net* net) {
  Dims grown;
  try {
    grown = dims_of(net, 1);
  } catch (const Error&) {
    return dims_of(net);
  }
  Dims dims = dims_of(net);
  for (std::size_t layer = 0; layer < dims.size(); ++layer)
    for (std::size_t top = 0; top < dims[layer].size(); ++top)
      for (std::size_t i = 0; i < dims[layer][top].size(); ++i)
        if (dims[layer][top][i] != grown[layer][top][i]) dims[layer][top][i] = kFree;
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
    for (int i = 0; i < static_cast<int>(net_.layers().size()); ++i) {
      if (net_.layers()[i]->type() == "Input")
        add_inputs(i);
      else
        export_layer(i, names);
    }
    if (net_.output_names().empty()) fail("the net has no output in TEST");
    for (const std::string& output : net_.output_names()) add_output(output);
    return std::move(model_);
  }

 private:
  void add_inputs(int index) {
    const LayerParameter& parameter = net_.layers()[index]->parameter();
    for (int i = 0; i < parameter.top_size(); ++i) {
      const std::string& input = parameter.top(i);
      values_[input] = {input, dims_[index][i]};
      declare(input, input, model_.mutable_graph()->add_input());
    }
  }

  void export_layer(int index, const ValueNames& names) {
    const Layer& layer = *net_.layers()[index];
    const ExportRule rule = find_export_rule(layer.type());
    if (rule == nullptr) fail("layer '", layer.name(), "' (", layer.type(), "): has no ONNX form");
    const LayerParameter& parameter = layer.parameter();
    std::vector<Value> bottoms;
    for (const std::string& bottom : parameter.bottom()) bottoms.push_back(values_.at(bottom));
    std::vector<Value> tops;
    tops.reserve(parameter.top_size());
    for (int i = 0; i < parameter.top_size(); ++i)
      tops.push_back({names.top(index, i), dims_[index][i]});
    LayerExport work(layer, std::move(bottoms), std::move(tops), &graph_);
    rule(&work);
    for (int i = 0; i < parameter.top_size(); ++i) {
      values_[parameter.top(i)] = work.top(i);
      wished_names_[parameter.top(i)] = names.top(index, i);
    }
  }

  /// An output has a value of its own, not an alias.
  void add_output(const std::string& blob) {
    const auto wished = wished_names_.find(blob);
    if (wished == wished_names_.end())
      fail("the net's output in TEST would be its input '", blob, "', which no layer reads");
    const std::string& name = wished->second;
    const std::string& made = values_.at(blob).name;
    if (made != name) graph_.add_node(name, "Identity", {made}, {name}, {});
    declare(name, blob, model_.mutable_graph()->add_output());
  }

  void declare(const std::string& value, const std::string& blob, onnx::ValueInfoProto* info) {
    info->set_name(value);
    onnx::TypeProto::Tensor* type = info->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    type->mutable_shape();
    const Integers& dims = values_.at(blob).dims;
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
  /// What each blob is so far.
  std::map<std::string, Value> values_;
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
  const NetParameter test = phase_of(model, TEST);
  const NetParameter deploy = deploy_net(test, find_input_shapes(test, options));
  Net net(deploy, NetOptions());
  if (has_weights(net)) net.copy_weights(weights, source, Missing::FAIL);
  check_not_empty(net);
  const Dims free = free_dims_of(&net);
  try {
    return Exporter(net, free).run();
  } catch (const NeedsFixedBatch&) {
    return Exporter(net, dims_of(&net)).run();
  }
}

}  // namespace vibnet
