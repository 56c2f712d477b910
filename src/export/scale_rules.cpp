// The layers that multiply and add: by constants, and by other blobs.

#include <algorithm>
#include <numeric>

#include "export/rules.h"
#include "layers/gate_layer.h"

namespace vibnet {
namespace {

/// The second bottom, or the parameter, so shaped that it broadcasts over the first bottom.
std::string operand(int given_axis, LayerExport* layer) {
  const Value& x = layer->bottom();
  const int axis = x.axis(given_axis);
  if (layer->bottoms().size() == 1)
    return layer->weight(0, layer->broadcast_shape(axis, layer->weight_blob(0).shape()));
  const Value& other = layer->bottom(1);
  const int behind = other.axes() == 0 ? 0 : x.axes() - axis - other.axes();
  if (behind <= 0) return other.name;
  Integers axes(behind);
  std::iota(axes.begin(), axes.end(), other.axes());
  return layer->step("Unsqueeze", {other.name, layer->ints(axes)});
}

}  // namespace

void export_scale(LayerExport* layer) {
  const ScaleParameter& p = layer->parameter().scale_param();
  const Values factors = {layer->bottom().name, operand(p.axis(), layer)};
  if (!p.bias_term()) return layer->make_top(0, "Mul", factors);
  const int index = layer->bottoms().size() == 1 ? 1 : 0;
  const Shape& shape = layer->weight_blob(index).shape();
  const Shape broadcast =
      shape.empty() ? shape : layer->broadcast_shape(layer->bottom().axis(p.axis()), shape);
  layer->make_top(0, "Add", {layer->step("Mul", factors), layer->weight(index, broadcast)});
}

void export_bias(LayerExport* layer) {
  const int axis = layer->parameter().bias_param().axis();
  layer->make_top(0, "Add", {layer->bottom().name, operand(axis, layer)});
}

void export_gate(LayerExport* layer) {
  const auto& gate = dynamic_cast<const GateLayer&>(layer->layer());
  const Shape shape = layer->broadcast_shape(1, {gate.units()});
  layer->make_top(0, "Mul", {layer->bottom().name, layer->floats(shape, gate.test_factors())});
}

void export_eltwise(LayerExport* layer) {
  const EltwiseParameter& p = layer->parameter().eltwise_param();
  Values terms;
  for (int i = 0; i < static_cast<int>(layer->bottoms().size()); ++i) {
    const std::string& x = layer->bottom(i).name;
    const bool has_factor = p.operation() == EltwiseParameter::SUM && i < p.coeff_size();
    const float factor = has_factor ? p.coeff(i) : 1;
    terms.push_back(factor == 1 ? x : layer->step("Mul", {x, layer->scalar(factor)}));
  }
  if (p.operation() == EltwiseParameter::MAX) return layer->make_top(0, "Max", terms);
  if (p.operation() == EltwiseParameter::SUM) return layer->make_top(0, "Sum", terms);
  std::string product = terms[0];
  for (std::size_t i = 1; i + 1 < terms.size(); ++i)
    product = layer->step("Mul", {product, terms[i]});
  layer->make_top(0, "Mul", {product, terms.back()});
}

void export_axpy(LayerExport* layer) {
  const Value& x = layer->bottom(1);
  Integers dims(x.axes(), 1);
  std::copy_n(x.dims.begin(), 2, dims.begin());
  const std::string a = layer->reshaped(layer->bottom(0).name, dims);
  layer->make_top(0, "Add", {layer->step("Mul", {a, x.name}), layer->bottom(2).name});
}

}  // namespace vibnet
