#include "compress/weights_view.h"

#include <cmath>

namespace vibnet {

WeightSteps weight_steps(ChannelRule::Weights order, int outputs, int inputs, int kernel) {
  const std::int64_t k = kernel;
  switch (order) {
    case ChannelRule::Weights::INPUT_OUTPUT_KERNEL:
      return {k, outputs * k, 1};
    case ChannelRule::Weights::INPUT_KERNEL_OUTPUT:
      return {1, outputs * k, outputs};
    case ChannelRule::Weights::OUTPUT_INPUT_KERNEL:
      break;
  }
  return {inputs * k, k, 1};
}

namespace {

/// Of grouped weights, the axis in front goes over all groups and the other over one.
std::int64_t offset_of(const WeightSteps& steps, ChannelRule::Weights order, int output, int input,
                       int group_outputs, int group_inputs) {
  const bool outputs_first = order == ChannelRule::Weights::OUTPUT_INPUT_KERNEL;
  const int o = outputs_first ? output : output % group_outputs;
  const int i = outputs_first ? input % group_inputs : input;
  return o * steps.output + i * steps.input;
}

}  // namespace

WeightsView::WeightsView(const GraphLayer& layer, const Graph& graph)
    : rule_(layer.rule),
      outputs_(graph.blobs[layer.tops[0]].channels()),
      inputs_(graph.blobs[layer.bottoms[0]].channels()),
      steps_(weight_steps(rule_.weights, group_outputs(), group_inputs(), rule_.kernel)),
      weights_(layer.blobs[0].data_size() > 0 ? layer.blobs[0].data().data() : nullptr) {
  if (layer.blobs.size() > 1 && layer.blobs[1].data_size() > 0)
    bias_ = layer.blobs[1].data().data();
}

const float* WeightsView::begin(int output, int input) const {
  return weights_ +
         offset_of(steps_, rule_.weights, output, input, group_outputs(), group_inputs());
}

bool WeightsView::is_zero(int output, int input) const {
  if (!has_values()) return false;
  const float* value = begin(output, input);
  for (int k = 0; k < rule_.kernel; ++k)
    if (value[k * steps_.kernel] != 0) return false;
  return true;
}

double WeightsView::sum(int output, int input) const {
  if (!has_values()) return 0;
  const float* value = begin(output, input);
  double sum = 0;
  for (int k = 0; k < rule_.kernel; ++k) sum += value[k * steps_.kernel];
  return sum;
}

double WeightsView::magnitude(int output, int input) const {
  if (!has_values()) return 0;
  const float* value = begin(output, input);
  double sum = 0;
  for (int k = 0; k < rule_.kernel; ++k) sum += std::fabs(value[k * steps_.kernel]);
  return sum;
}

BlobShape cut_shape(const GraphLayer& layer, const WeightsCut& cut) {
  const ChannelRule& rule = layer.rule;
  BlobShape shape = layer.blobs[0].shape();
  const bool outputs_first = rule.weights == ChannelRule::Weights::OUTPUT_INPUT_KERNEL;
  const bool is_matrix = shape.dim_size() == 2;  // an InnerProduct's kernel stands in its inputs
  const int outputs = static_cast<int>(cut.outputs.size());
  const int inputs = static_cast<int>(cut.inputs.size()) * (is_matrix ? rule.kernel : 1);
  shape.set_dim(0, outputs_first ? outputs : inputs);
  shape.set_dim(1, (outputs_first ? inputs : outputs) / cut.groups);
  return shape;
}

BlobProto cut_weights(const GraphLayer& layer, const Graph& graph, const WeightsCut& cut,
                      const BlobProto& source) {
  const ChannelRule& rule = layer.rule;
  const int old_outputs = graph.blobs[layer.tops[0]].channels() / rule.groups;
  const int old_inputs = graph.blobs[layer.bottoms[0]].channels() / rule.groups;
  const int outputs = static_cast<int>(cut.outputs.size()) / cut.groups;
  const int inputs = static_cast<int>(cut.inputs.size()) / cut.groups;
  const WeightSteps from = weight_steps(rule.weights, old_outputs, old_inputs, rule.kernel);
  const WeightSteps to = weight_steps(rule.weights, outputs, inputs, rule.kernel);

  BlobProto blob;
  *blob.mutable_shape() = cut_shape(layer, cut);
  if (source.data_size() == 0) return blob;
  blob.mutable_data()->Resize(cut.groups * outputs * inputs * rule.kernel, 0);
  const float* old_values = source.data().data();
  float* values = blob.mutable_data()->mutable_data();
  for (int o = 0; o < static_cast<int>(cut.outputs.size()); ++o) {
    if (!cut.live[cut.outputs[o]]) continue;
    for (int n = 0; n < inputs; ++n) {
      const int i = o / outputs * inputs + n;
      if (!cut.used[cut.inputs[i]]) continue;
      const float* old_value = old_values + offset_of(from, rule.weights, cut.outputs[o],
                                                      cut.inputs[i], old_outputs, old_inputs);
      float* value = values + offset_of(to, rule.weights, o, i, outputs, inputs);
      for (int k = 0; k < rule.kernel; ++k) value[k * to.kernel] = old_value[k * from.kernel];
    }
  }
  return blob;
}

BlobProto blob_of(const std::vector<float>& values) {
  BlobProto blob;
  blob.mutable_shape()->add_dim(static_cast<int>(values.size()));
  blob.mutable_data()->Add(values.begin(), values.end());
  return blob;
}

void state_bias(LayerParameter* layer) {
  if (layer->type() == "InnerProduct")
    layer->mutable_inner_product_param()->set_bias_term(true);
  else
    layer->mutable_convolution_param()->set_bias_term(true);
}

void set_bias(const std::vector<float>& bias, GraphLayer* layer) {
  if (layer->blobs.size() < 2) {
    layer->blobs.emplace_back();
    state_bias(&layer->parameter);
  }
  layer->blobs[1] = blob_of(bias);
}

void scale_weights(const std::vector<float>& by_output, const std::vector<float>& by_input,
                   GraphLayer* layer) {
  const ChannelRule& rule = layer->rule;
  if (!has_values(*layer)) return;
  const int outputs = static_cast<int>(by_output.size()) / rule.groups;
  const int inputs = static_cast<int>(by_input.size()) / rule.groups;
  const WeightSteps steps = weight_steps(rule.weights, outputs, inputs, rule.kernel);
  float* values = layer->blobs[0].mutable_data()->mutable_data();
  for (int o = 0; o < static_cast<int>(by_output.size()); ++o)
    for (int n = 0; n < inputs; ++n) {
      const int i = o / outputs * inputs + n;
      float* value = values + offset_of(steps, rule.weights, o, i, outputs, inputs);
      const float factor = by_output[o] * by_input[i];
      for (int k = 0; k < rule.kernel; ++k) value[k * steps.kernel] *= factor;
    }
}

}  // namespace vibnet
