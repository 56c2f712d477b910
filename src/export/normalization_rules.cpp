// The layers that normalize.

#include <cmath>
#include <numeric>

#include "export/rules.h"

namespace vibnet {
namespace {

/// The axes from `first` to the end but `left_out`.
Integers axes_of(const Value& x, int first, int left_out) {
  Integers axes;
  for (int axis = first; axis < x.axes(); ++axis)
    if (axis != left_out) axes.push_back(axis);
  return axes;
}

/// x less its mean over the axes, and the mean of what that is squared.
struct Centred {
  std::string values;
  std::string variance;
};

Centred centre(const std::string& x, const Integers& axes, LayerExport* layer) {
  const Attributes over = {integers("axes", axes), integer("keepdims", 1)};
  const std::string values = layer->step("Sub", {x, layer->step("ReduceMean", {x}, over)});
  const std::string squares = layer->step("Mul", {values, values});
  return {values, layer->step("ReduceMean", {squares}, over)};
}

/// The statistics of the batch itself.
void export_batch_statistics(LayerExport* layer) {
  const Integers axes = axes_of(layer->bottom(), 0, 1);
  const Centred x = centre(layer->bottom().name, axes, layer);
  const std::string eps = layer->scalar(layer->parameter().batch_norm_param().eps());
  const std::string deviation = layer->step("Sqrt", {layer->step("Add", {x.variance, eps})});
  layer->make_top(0, "Div", {x.values, deviation});
}

void export_lrn_within_channel(LayerExport* layer) {
  const LRNParameter& p = layer->parameter().lrn_param();
  const std::int64_t size = p.local_size();
  const std::int64_t pad = (size - 1) / 2;
  const std::string& x = layer->bottom().name;
  const std::string mean =
      layer->step("AveragePool", {layer->step("Mul", {x, x})},
                  {integers("kernel_shape", {size, size}), integers("strides", {1, 1}),
                   integers("pads", {pad, pad, pad, pad}), integer("count_include_pad", 1)});
  const std::string scaled = layer->step("Mul", {mean, layer->scalar(p.alpha())});
  const std::string sum = layer->step("Add", {scaled, layer->scalar(1)});
  const std::string norm = layer->step("Pow", {sum, layer->scalar(-p.beta())});
  layer->make_top(0, "Mul", {x, norm});
}

}  // namespace

void export_batch_norm(LayerExport* layer) {
  const BatchNormParameter& p = layer->parameter().batch_norm_param();
  const bool global = !p.has_use_global_stats() || p.use_global_stats();
  const Value& x = layer->bottom();
  if (x.axes() < 2) layer->fail("has an ONNX form only for bottoms of 2 axes or more");
  if (!global) return export_batch_statistics(layer);
  const int channels = layer->weight_blob(0).count();
  const float sum = layer->weight_blob(2).cpu_data()[0];
  const float factor = sum == 0 ? 0 : 1 / sum;
  std::vector<float> mean(channels);
  std::vector<float> variance(channels);
  for (int c = 0; c < channels; ++c) {
    mean[c] = factor * layer->weight_blob(0).cpu_data()[c];
    variance[c] = factor * layer->weight_blob(1).cpu_data()[c];
  }
  const Values inputs = {x.name, layer->floats({channels}, std::vector<float>(channels, 1)),
                         layer->floats({channels}, std::vector<float>(channels, 0)),
                         layer->floats({channels}, mean), layer->floats({channels}, variance)};
  layer->make_top(0, "BatchNormalization", inputs, {number("epsilon", p.eps())});
}

void export_lrn(LayerExport* layer) {
  const LRNParameter& p = layer->parameter().lrn_param();
  if (p.norm_region() == LRNParameter::WITHIN_CHANNEL) return export_lrn_within_channel(layer);
  layer->make_top(0, "LRN", {layer->bottom().name},
                  {integer("size", p.local_size()), number("alpha", p.alpha()),
                   number("beta", p.beta()), number("bias", p.k())});
}

/// Over all of a channel, or of a sample; the top has four axes whatever the bottom has.
void export_mvn(LayerExport* layer) {
  const MVNParameter& p = layer->parameter().mvn_param();
  const Value& top = layer->top();
  const std::string& bottom = layer->bottom().name;
  const std::string x =
      layer->bottom().axes() == top.axes() ? bottom : layer->reshaped(bottom, top.dims);
  const Centred centred = centre(x, axes_of(top, p.across_channels() ? 1 : 2, -1), layer);
  if (!p.normalize_variance()) return layer->alias(0, centred.values);
  const std::string deviation = layer->step("Sqrt", {centred.variance});
  layer->make_top(0, "Div",
                  {centred.values, layer->step("Add", {deviation, layer->scalar(p.eps())})});
}

void export_softmax(LayerExport* layer) {
  const int axis = layer->bottom().axis(layer->parameter().softmax_param().axis());
  layer->make_top(0, "Softmax", {layer->bottom().name}, {integer("axis", axis)});
}

}  // namespace vibnet
