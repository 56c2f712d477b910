// The layers whose weights join all channels.

#include <vector>

#include "export/rules.h"
#include "layers/windowed_layer.h"

namespace vibnet {
namespace {

/// Caffe pads both ends alike; ONNX wants all beginnings, then all ends.
Attributes window_attributes(const std::vector<WindowAxis>& axes) {
  Integers kernels, strides, pads, dilations;
  for (const WindowAxis& axis : axes) {
    kernels.push_back(axis.kernel);
    strides.push_back(axis.stride);
    pads.push_back(axis.pad);
    dilations.push_back(axis.dilation);
  }
  const Integers begins = pads;
  pads.insert(pads.end(), begins.begin(), begins.end());
  return {integers("kernel_shape", kernels), integers("strides", strides), integers("pads", pads),
          integers("dilations", dilations)};
}

/// The channel axis of the bottom, axis 1 of what ONNX works on: axes in front become one, N.
Integers folded_dims(const Value& value, int channel_axis) {
  std::int64_t samples = 1;
  for (int i = 0; i < channel_axis; ++i)
    samples = value.dims[i] == kFree || samples == kFree ? kFree : samples * value.dims[i];
  Integers dims = {samples};
  dims.insert(dims.end(), value.dims.begin() + channel_axis, value.dims.end());
  return dims;
}

/// Conv or ConvTranspose for each pair of bottom and top.
void convolve(const char* op, std::int64_t group, LayerExport* layer) {
  const ConvolutionParameter& p = layer->parameter().convolution_param();
  const int axis = layer->bottom().axis(p.axis());
  const auto axes = dynamic_cast<const WindowedLayer&>(layer->layer()).window_axes();
  if (axes.empty()) layer->fail("without spatial axes it has no ONNX form; use InnerProduct");
  Attributes attributes = window_attributes(axes);
  attributes.push_back(integer("group", group));
  Values weights = {layer->weight(0)};
  if (p.bias_term()) weights.push_back(layer->weight(1, {layer->weight_blob(1).count()}));
  for (int i = 0; i < static_cast<int>(layer->bottoms().size()); ++i) {
    Values inputs = {layer->bottom(i).name};
    if (axis != 1) inputs[0] = layer->reshaped(inputs[0], folded_dims(layer->bottom(i), axis));
    inputs.insert(inputs.end(), weights.begin(), weights.end());
    if (axis == 1)
      layer->make_top(i, op, inputs, attributes);
    else
      layer->reshape_top(i, layer->step(op, inputs, attributes));
  }
}

}  // namespace

void export_convolution(LayerExport* layer) {
  const int axis = layer->bottom().axis(layer->parameter().convolution_param().axis());
  convolve("Conv", layer->bottom().size(axis) / layer->weight_blob(0).shape(1), layer);
}

void export_deconvolution(LayerExport* layer) {
  const int axis = layer->bottom().axis(layer->parameter().convolution_param().axis());
  convolve("ConvTranspose", layer->top().size(axis) / layer->weight_blob(0).shape(1), layer);
}

void export_inner_product(LayerExport* layer) {
  const InnerProductParameter& p = layer->parameter().inner_product_param();
  const int axis = layer->bottom().axis(p.axis());
  const bool is_matrix = axis == 1 && layer->bottom().axes() == 2;
  Values inputs = {layer->bottom().name};
  if (!is_matrix) inputs[0] = layer->step("Flatten", inputs, {integer("axis", axis)});
  const Shape& weights = layer->weight_blob(0).shape();
  inputs.push_back(layer->weight(0, {weights.end() - 2, weights.end()}));
  if (p.bias_term()) inputs.push_back(layer->weight(1, {layer->weight_blob(1).count()}));
  const Attributes attributes = {integer("transB", p.transpose() ? 0 : 1)};
  if (axis == 1)
    layer->make_top(0, "Gemm", inputs, attributes);
  else
    layer->reshape_top(0, layer->step("Gemm", inputs, attributes));
}

void export_embed(LayerExport* layer) {
  const std::string indices =
      layer->step("Cast", {layer->bottom().name}, {integer("to", onnx::TensorProto::INT64)});
  const Values inputs = {layer->weight(0), indices};
  if (!layer->parameter().embed_param().bias_term()) return layer->make_top(0, "Gather", inputs);
  const std::string bias = layer->weight(1, {layer->weight_blob(1).count()});
  layer->make_top(0, "Add", {layer->step("Gather", inputs), bias});
}

}  // namespace vibnet
