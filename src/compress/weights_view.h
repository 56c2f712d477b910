#pragma once

#include <cstdint>
#include <vector>

#include "compress/graph.h"

namespace vibnet {

/// Where the weights of a pair of channels lie: value k of output o and input i at
/// o * output_step + i * input_step + k * kernel_step, each counted as the order of axes says.
struct WeightSteps {
  std::int64_t output, input, kernel;
};

/// `outputs` and `inputs` are those of one group.
WeightSteps weight_steps(ChannelRule::Weights order, int outputs, int inputs, int kernel);

/// The weights of a MIX layer by output and input channel. Of a layer without values, none is known
/// to be zero, and sums are 0.
class WeightsView {
 public:
  WeightsView(const GraphLayer& layer, const Graph& graph);

  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  int groups() const { return rule_.groups; }
  int group_outputs() const { return outputs_ / rule_.groups; }
  int group_inputs() const { return inputs_ / rule_.groups; }
  /// The inputs of an output's group.
  int first_input(int output) const { return output / group_outputs() * group_inputs(); }
  int end_input(int output) const { return first_input(output) + group_inputs(); }

  float bias(int output) const { return bias_ == nullptr ? 0 : bias_[output]; }
  bool is_zero(int output, int input) const;
  double sum(int output, int input) const;
  /// The sum of absolute values.
  double magnitude(int output, int input) const;

 private:
  bool has_values() const { return weights_ != nullptr; }
  const float* begin(int output, int input) const;

  const ChannelRule& rule_;
  int outputs_;
  int inputs_;
  WeightSteps steps_;
  const float* weights_;
  const float* bias_ = nullptr;
};

/// Makes the weights of a MIX layer anew for these channels, by the numbers of the old ones and
/// group by group in equal parts.
/// An output that is not `live` gets zeros, and so does an input that is not `used`.
struct WeightsCut {
  std::vector<int> outputs;
  std::vector<int> inputs;
  std::vector<bool> live;  // by output of the old weights
  std::vector<bool> used;  // by input of the old weights
  int groups = 1;
};

/// The shape of the layer's first blob, cut.
BlobShape cut_shape(const GraphLayer& layer, const WeightsCut& cut);
/// The layer's first blob, cut. `source` is that blob, or another of its shape.
BlobProto cut_weights(const GraphLayer& layer, const Graph& graph, const WeightsCut& cut,
                      const BlobProto& source);

/// A one-axis blob of these values.
BlobProto blob_of(const std::vector<float>& values);

/// Gives the layer this bias, with a bias_term where it had none.
void set_bias(const std::vector<float>& bias, GraphLayer* layer);
void state_bias(LayerParameter* layer);

/// Multiplies the layer's weights by a factor for each output, and for each input.
void scale_weights(const std::vector<float>& by_output, const std::vector<float>& by_input,
                   GraphLayer* layer);

}  // namespace vibnet
