#include "support/outputs.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "support/layer_fixture.h"
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
    const Values& given = inputs.at(name);
    if (blob->shape() != given.shape)
      throw std::runtime_error("input " + name + " is " + to_string(blob->shape()) + ", not " +
                               to_string(given.shape));
    std::copy(given.values.begin(), given.values.end(), blob->mutable_cpu_data());
  }
  net.forward();
  NamedValues outputs;
  for (const std::string& name : net.output_names()) {
    const Blob* blob = net.blob(name);
    outputs[name] = {blob->shape(), {blob->cpu_data(), blob->cpu_data() + blob->count()}};
  }
  return outputs;
}

float largest_of(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

double difference(const NamedValues& expected, const NamedValues& found) {
  if (expected.size() != found.size()) return HUGE_VAL;
  double apart = 0;
  for (const auto& [name, output] : expected) {
    const auto other = found.find(name);
    if (other == found.end() || other->second.shape != output.shape) return HUGE_VAL;
    apart = std::max(apart, difference(output.values, other->second.values));
  }
  return apart;
}

}  // namespace vibnet
