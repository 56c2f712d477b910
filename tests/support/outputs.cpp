#include "support/outputs.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "net/filter.h"
#include "support/layer_fixture.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr double kSmallest = 1e-2;

bool has_blobs(const Net& net) {
  return std::any_of(net.layers().begin(), net.layers().end(),
                     [](const auto& layer) { return !layer->blobs().empty(); });
}

double difference(const std::vector<float>& expected, const std::vector<float>& found) {
  if (expected.size() != found.size()) return HUGE_VAL;
  double apart = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double one = std::fabs(double{expected[i]} - found[i]);
    apart = std::isfinite(one) ? std::max(apart, one) : HUGE_VAL;
  }
  return apart / std::max(kSmallest, double{largest_of(expected)});
}

/// The deployment form for batches as the masked net's, and what its inputs then are: where one is
/// shorter, the features that are kept.
NetParameter with_batch(NetParameter deploy, const std::vector<int>& kept_inputs,
                        NamedValues* inputs) {
  for (LayerParameter& layer : *deploy.mutable_layer()) {
    for (int i = 0; i < layer.top_size() && layer.type() == "Input"; ++i) {
      auto* dims = layer.mutable_input_param()->mutable_shape(i)->mutable_dim();
      BlobValues& input = inputs->at(layer.top(i));
      dims->Set(0, input.shape[0]);
      const Shape shape(dims->begin(), dims->end());
      if (shape == input.shape) continue;
      input = {shape, selected_values(input.values, input.shape, shape, kept_inputs)};
    }
  }
  return deploy;
}

}  // namespace

NamedValues noise_for(const NetParameter& model, std::uint64_t key) {
  const Net net(model, NetOptions());
  NamedValues inputs;
  for (const std::string& name : net.input_names()) {
    Blob noise(net.blob(name)->shape());
    fill_gaussian(key++, &noise);
    inputs[name] = {noise.shape(), {noise.cpu_data(), noise.cpu_data() + noise.count()}};
  }
  return inputs;
}

NamedValues outputs_of(const NetParameter& model, const NetParameter& weights,
                       const NamedValues& inputs) {
  Net net(model, NetOptions());
  if (has_blobs(net)) net.copy_weights(weights, "weights", Missing::FAIL);
  for (const std::string& name : net.input_names()) {
    Blob* blob = net.blob(name);
    const BlobValues& given = inputs.at(name);
    if (blob->shape() != given.shape)
      throw std::runtime_error("input " + name + " is " + to_string(blob->shape()) + ", not " +
                               to_string(given.shape));
    std::copy(given.values.begin(), given.values.end(), blob->mutable_cpu_data());
  }
  const float objective = net.forward();
  NamedValues outputs;
  std::set<const Blob*> losses;
  for (const Net::Loss& loss : net.losses()) losses.insert(loss.blob);
  if (!losses.empty()) outputs["objective"] = {{1}, {objective}};
  for (const std::string& name : net.output_names()) {
    const Blob* blob = net.blob(name);
    if (losses.count(blob) > 0) continue;
    outputs[name] = {blob->shape(), {blob->cpu_data(), blob->cpu_data() + blob->count()}};
  }
  return outputs;
}

float largest_of(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

bool is_finite(const NamedValues& values) { return std::isfinite(difference(values, values)); }

NetParameter without_heads(const NetParameter& model) {
  NamedValues inputs = noise_for(model, 1);
  return with_batch(make_deploy(model, {}), {}, &inputs);
}

NetParameter training_form(const NetParameter& model) {
  return single_phase(model, state_in(model, TRAIN));
}

double difference_of_outputs(const NetParameter& model, const NetParameter& weights,
                             const CompressedNet& compressed) {
  NamedValues inputs = noise_for(model, 1);
  const double of_model = difference(outputs_of(model, weights, inputs),
                                     outputs_of(compressed.model, compressed.weights, inputs));
  const NamedValues expected = outputs_of(without_heads(model), weights, inputs);
  const NetParameter deploy = with_batch(compressed.deploy, compressed.report.kept_inputs, &inputs);
  return std::max(of_model, difference(expected, outputs_of(deploy, compressed.weights, inputs)));
}

double difference_in_training(const NetParameter& model, const NetParameter& weights,
                              const CompressedNet& compressed) {
  const NamedValues inputs = noise_for(model, 1);
  return difference(outputs_of(training_form(model), weights, inputs),
                    outputs_of(training_form(compressed.model), compressed.weights, inputs));
}

double difference(const NamedValues& expected, const NamedValues& found) {
  for (const auto& entry : found)
    if (expected.count(entry.first) == 0)
      throw std::runtime_error("there is an output " + entry.first + " more");
  double apart = 0;
  for (const auto& [name, output] : expected) {
    const auto other = found.find(name);
    if (other == found.end()) throw std::runtime_error("there is no output " + name);
    if (other->second.shape != output.shape)
      throw std::runtime_error("output " + name + " is " + to_string(other->second.shape) +
                               ", not " + to_string(output.shape));
    apart = std::max(apart, difference(output.values, other->second.values));
  }
  return apart;
}

}  // namespace vibnet
