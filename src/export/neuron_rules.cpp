// The layers that treat each value alone.

#include <cmath>
#include <limits>

#include "export/rules.h"
#include "layers/log_base.h"

namespace vibnet {
namespace {

/// A layer that is one ONNX op.
void export_as(const char* op, LayerExport* layer, const Attributes& attributes = {}) {
  layer->make_top(0, op, {layer->bottom().name}, attributes);
}

/// factor * value + term, without what changes nothing.
std::string scaled(const std::string& value, float factor, float term, LayerExport* layer) {
  std::string result = value;
  if (factor != 1) result = layer->step("Mul", {result, layer->scalar(factor)});
  if (term != 0) result = layer->step("Add", {result, layer->scalar(term)});
  return result;
}

}  // namespace

void export_abs_val(LayerExport* layer) { export_as("Abs", layer); }

void export_bnll(LayerExport* layer) { export_as("Softplus", layer); }

void export_sigmoid(LayerExport* layer) { export_as("Sigmoid", layer); }

void export_tanh(LayerExport* layer) { export_as("Tanh", layer); }

void export_elu(LayerExport* layer) {
  export_as("Elu", layer, {number("alpha", layer->parameter().elu_param().alpha())});
}

void export_relu(LayerExport* layer) {
  const float slope = layer->parameter().relu_param().negative_slope();
  if (slope == 0) return export_as("Relu", layer);
  export_as("LeakyRelu", layer, {number("alpha", slope)});
}

void export_relu6(LayerExport* layer) {
  layer->make_top(0, "Clip", {layer->bottom().name, layer->scalar(0), layer->scalar(6)});
}

void export_prelu(LayerExport* layer) {
  const Blob& slopes = layer->weight_blob(0);
  const bool shared = layer->parameter().prelu_param().channel_shared();
  const Shape shape = shared ? Shape{1} : layer->broadcast_shape(1, {slopes.count()});
  layer->make_top(0, "PRelu", {layer->bottom().name, layer->weight(0, shape)});
}

void export_clip(LayerExport* layer) {
  const ClipParameter& p = layer->parameter().clip_param();
  const std::string least = layer->scalar(p.min());
  const std::string most = layer->scalar(p.max());
  layer->make_top(0, "Clip", {layer->bottom().name, least, most});
}

void export_exp(LayerExport* layer) {
  const ExpParameter& p = layer->parameter().exp_param();
  const float log_of_base = log_base(p.base());
  const float outer = std::exp(log_of_base * p.shift());
  const std::string power = scaled(layer->bottom().name, log_of_base * p.scale(), 0, layer);
  if (outer == 1) return layer->make_top(0, "Exp", {power});
  layer->make_top(0, "Mul", {layer->step("Exp", {power}), layer->scalar(outer)});
}

void export_log(LayerExport* layer) {
  const LogParameter& p = layer->parameter().log_param();
  const float log_of_base = log_base(p.base());
  const std::string x = scaled(layer->bottom().name, p.scale(), p.shift(), layer);
  if (log_of_base == 1) return layer->make_top(0, "Log", {x});
  layer->make_top(0, "Mul", {layer->step("Log", {x}), layer->scalar(1 / log_of_base)});
}

void export_power(LayerExport* layer) {
  const PowerParameter& p = layer->parameter().power_param();
  const std::string& x = layer->bottom().name;
  if (p.power() == 0 || p.scale() == 0) {
    const float value = p.power() == 0 ? 1 : std::pow(p.shift(), p.power());
    return layer->make_top(0, "ConstantOfShape", {layer->step("Shape", {x})},
                           {tensor("value", value)});
  }
  if (p.power() != 1) {
    const std::string base = scaled(x, p.scale(), p.shift(), layer);
    return layer->make_top(0, "Pow", {base, layer->scalar(p.power())});
  }
  layer->alias(0, scaled(x, p.scale(), p.shift(), layer));
}

void export_threshold(LayerExport* layer) {
  const float threshold = layer->parameter().threshold_param().threshold();
  const std::string is_above =
      layer->step("Greater", {layer->bottom().name, layer->scalar(threshold)});
  layer->make_top(0, "Cast", {is_above}, {integer("to", onnx::TensorProto::FLOAT)});
}

void export_swish(LayerExport* layer) {
  const std::string& x = layer->bottom().name;
  const std::string inner = scaled(x, layer->parameter().swish_param().beta(), 0, layer);
  layer->make_top(0, "Mul", {x, layer->step("Sigmoid", {inner})});
}

void export_hard_swish(LayerExport* layer) {
  const std::string& x = layer->bottom().name;
  const std::string raised = layer->step("Add", {x, layer->scalar(3)});
  const std::string gate = layer->step("Clip", {raised, layer->scalar(0), layer->scalar(6)});
  const std::string product = layer->step("Mul", {x, gate});
  layer->make_top(0, "Mul", {product, layer->scalar(1.0f / 6)});
}

}  // namespace vibnet
