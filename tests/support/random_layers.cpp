#include "support/random_layers.h"

#include <algorithm>
#include <iterator>

namespace vibnet {
namespace {

struct Choice {
  const char* type;
  const char* parameter;
};

constexpr Choice kNeurons[] = {
    {"ReLU", ""},
    {"ReLU", ""},
    {"ReLU", ""},
    {"ReLU", "relu_param { negative_slope: 0.1 }"},
    {"PReLU", ""},
    {"PReLU", "prelu_param { channel_shared: true }"},
    {"ELU", ""},
    {"ELU", "elu_param { alpha: 0.3 }"},
    {"Sigmoid", ""},
    {"TanH", ""},
    {"Swish", ""},
    {"HardSwish", ""},
    {"ReLU6", ""},
    {"AbsVal", ""},
    {"BNLL", ""},
    {"Clip", "clip_param { min: -1 max: 2 }"},
    {"Clip", "clip_param { min: 0.5 max: 2 }"},
    {"Power", "power_param { scale: 0.5 }"},
    {"Power", "power_param { scale: -0.7 shift: 0.4 }"},
    {"Dropout", ""},
    {"Dropout", "include { phase: TRAIN }"},
};

/// These grow fast, or are not for all values: a TanH stands in front of them.
constexpr Choice kSteepNeurons[] = {
    {"Power", "power_param { power: 2 }"},
    {"Power", "power_param { power: 2 scale: 0.5 shift: 0.3 }"},
    {"Power", "power_param { power: 0 }"},
    {"Power", "power_param { scale: 0 shift: 0.5 }"},
    {"Power", "power_param { power: 3 scale: 0.7 }"},
    {"Exp", ""},
    {"Exp", "exp_param { base: 2 scale: 0.5 shift: -0.3 }"},
    {"Log", "log_param { shift: 1.5 }"},
};

/// For N x C x H x W. MVN's eps keeps it from blowing up rounding where a channel is constant.
constexpr Choice kOddMaps[] = {
    {"LRN", "lrn_param { local_size: 3 alpha: 0.5 }"},
    {"LRN", "lrn_param { local_size: 3 alpha: 0.5 k: 2 }"},
    {"LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"},
    {"MVN", "mvn_param { eps: 0.1 }"},
    {"MVN", "mvn_param { normalize_variance: false }"},
    {"MVN", "mvn_param { across_channels: true eps: 0.1 }"},
    {"Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"},
    {"Permute", "permute_param { order: 0 order: 1 order: 3 order: 2 }"},
    {"Softmax", ""},
    {"Softmax", "softmax_param { axis: 3 }"},
    {"Reduction", "reduction_param { axis: 2 operation: MEAN }"},
    {"Reduction", "reduction_param { axis: 3 operation: SUMSQ coeff: 0.2 }"},
    {"Tile", "tile_param { tiles: 2 }"},
    {"Tile", "tile_param { axis: 2 tiles: 2 }"},
    {"SPP", "spp_param { pyramid_height: 2 }"},
    {"Im2col", "convolution_param { kernel_size: 2 stride: 2 }"},
    {"Interp", "interp_param { height: 5 width: 4 }"},
    {"Interp", "interp_param { zoom_factor: 2 }"},
    {"Flatten", "flatten_param { axis: 2 }"},
    {"Flatten", "flatten_param { axis: 1 end_axis: 2 }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: -1 dim: 1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }"},
    {"Reshape", "reshape_param { axis: 2 shape { dim: -1 } }"},
    {"Scale", "scale_param { axis: 2 num_axes: 2 bias_term: true }"},
    {"Scale", "scale_param { num_axes: 3 }"},
    {"Scale", "scale_param { num_axes: 0 bias_term: true }"},
    {"Scale", "scale_param { axis: -3 }"},
    {"Bias", "bias_param { axis: 3 }"},
    {"Bias", "bias_param { num_axes: 0 }"},
    {"Bias", "bias_param { axis: -3 }"},
    {"Bias", "bias_param { num_axes: -1 }"},
    {"InnerProduct", "inner_product_param { num_output: 3 axis: 2 }"},
    {"BatchNorm", "batch_norm_param { use_global_stats: false eps: 0.1 }"},
};

constexpr Choice kOddVectors[] = {
    {"Softmax", ""},
    {"MVN", "mvn_param { across_channels: true normalize_variance: false }"},
    {"Tile", "tile_param { tiles: 2 }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: 1 dim: -1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: 1 dim: 1 } }"},
    {"Scale", "scale_param { axis: 0 num_axes: 2 }"},
    {"Scale", "scale_param { axis: -1 bias_term: true }"},
    {"BatchNorm", "batch_norm_param { eps: 0.1 }"},
};

std::string dim_of(int value) { return std::to_string(value); }

}  // namespace

RandomLayers::RandomLayers(std::uint32_t seed) : random_(seed) {
  bottleneck_probability_ = one_of({0.1, 0.25, 0.4, 0.8});
  in_place_probability_ = one_of({0.0, 0.5, 0.9});
}

Stream RandomLayers::bottleneck(const Stream& x, const std::string& shared) {
  const bool is_l0 = shared.empty() && chance(0.15);
  const std::string names = shared.empty() ? ""
                                           : "param { name: '" + shared + "_mu' } param { name: '" +
                                                 shared + "_sigma' } ";
  const std::string threshold = !is_l0 && shared.empty() && chance(0.1)
                                    ? "information_bottleneck_param { threshold: 0.5 }"
                                    : "";
  const std::string type = is_l0 ? "HardConcrete" : "InformationBottleneck";
  const Stream top = writer_.add(type, names + threshold, {x})[0];
  if (branches_ > 0 && shared.empty()) may_die_.insert(writer_.last_layer());
  has_bottlenecks_ = true;
  return top;
}

Stream RandomLayers::bottlenecks(Stream x, double probability) {
  if (x.shape.size() < 2) return x;
  for (int i = 0; i < 3 && chance(probability * bottleneck_probability_); ++i) x = bottleneck(x);
  return x;
}

Streams RandomLayers::apply(const std::string& type, const std::string& parameter,
                            const Streams& bottoms, int tops) {
  Streams inputs;
  for (const Stream& bottom : bottoms) inputs.push_back(bottlenecks(bottom, 0.25));
  Streams outputs;
  for (const Stream& top : writer_.add(type, parameter, inputs, tops))
    outputs.push_back(bottlenecks(top, 0.6));
  return outputs;
}

Stream RandomLayers::apply(const std::string& type, const std::string& parameter,
                           const Streams& bottoms) {
  return apply(type, parameter, bottoms, 1)[0];
}

Stream RandomLayers::in_place(const std::string& type, const std::string& parameter,
                              const Stream& x) {
  const bool must = parameter.find("TRAIN") != std::string::npos;
  if (!writer_.may_overwrite(x) || !(must || chance(in_place_probability_)))
    return must ? x : apply(type, parameter, {x});
  return bottlenecks(writer_.add_in_place(type, parameter, x), 0.6);
}

Stream RandomLayers::neuron(const Stream& x) {
  if (chance(0.1)) {
    const Choice& choice = kSteepNeurons[below(std::size(kSteepNeurons))];
    const Stream bounded = writer_.add("TanH", "", {x})[0];
    return bottlenecks(writer_.add(choice.type, choice.parameter, {bounded})[0], 0.6);
  }
  const Choice& choice = kNeurons[below(std::size(kNeurons))];
  return in_place(choice.type, choice.parameter, x);
}

Stream RandomLayers::scale(const Stream& x) {
  return in_place("Scale", chance(0.6) ? "scale_param { bias_term: true }" : "", x);
}

Stream RandomLayers::normalize(const Stream& x) {
  const Stream normalized =
      in_place("BatchNorm", chance(0.2) ? "batch_norm_param { eps: 0.01 }" : "", x);
  return chance(0.8) ? scale(normalized) : normalized;
}

Stream RandomLayers::decorate(Stream x) {
  const int layers = below(4);
  for (int i = 0; i < layers; ++i) {
    switch (below(8)) {
      case 0:
      case 1:
        x = normalize(x);
        break;
      case 2:
        x = scale(x);
        break;
      case 3:
        x = in_place("Bias", "", x);
        break;
      case 4:
        x = in_place("BatchNorm", "", x);
        break;
      default:
        x = neuron(x);
    }
  }
  return x;
}

std::string RandomLayers::size_keeping_window(int stride) {
  const std::string window =
      one_of({"kernel_size: 3 pad: 1", "kernel_size: 3 pad: 1", "kernel_size: 1",
              "kernel_size: 3 dilation: 2 pad: 2", "kernel_size: 5 pad: 2",
              "kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0"});
  return " " + window + (stride == 1 ? "" : " stride: " + dim_of(stride));
}

std::string RandomLayers::param_names(const std::string& shared, const std::string& bias) {
  if (shared.empty()) return "";
  const std::string weights = "param { name: '" + shared + "_w' } ";
  return bias.empty() ? weights + "param { name: '" + shared + "_b' } " : weights;
}

Stream RandomLayers::convolution(const Stream& x, int outputs, int stride, int group,
                                 const std::string& shared) {
  // Layers that share parameters are drawn alike.
  const std::string window =
      shared.empty() ? size_keeping_window(stride) : " kernel_size: 3 pad: 1";
  const std::string bias = shared.empty() ? bias_term() : "";
  const std::string groups = group == 1 ? "" : " group: " + dim_of(group);
  return apply("Convolution",
               param_names(shared, bias) + "convolution_param { num_output: " + dim_of(outputs) +
                   window + groups + bias + " }",
               {x});
}

Stream RandomLayers::pointwise(const Stream& x, int outputs, int group) {
  const std::string groups = group == 1 ? "" : " group: " + dim_of(group);
  return apply("Convolution",
               "convolution_param { num_output: " + dim_of(outputs) + " kernel_size: 1" + groups +
                   bias_term() + " }",
               {x});
}

Stream RandomLayers::depthwise(const Stream& x, int stride) {
  const int channels = x.shape[1];
  const int outputs = channels * (chance(0.2) ? 2 : 1);
  const bool own_type = chance(0.3);
  const std::string group = own_type && chance(0.5) ? "" : " group: " + dim_of(channels);
  return apply(own_type ? "DepthwiseConvolution" : "Convolution",
               "convolution_param { num_output: " + dim_of(outputs) + size_keeping_window(stride) +
                   group + bias_term() + " }",
               {x});
}

Stream RandomLayers::any_convolution(const Stream& x) {
  const int channels = x.shape[1];
  if (x.shape.size() != 4)
    return apply("Convolution",
                 "convolution_param { num_output: " + dim_of(few_channels()) + " kernel_size: 1" +
                     bias_term() + " }",
                 {x});
  const int size = std::min(x.shape[2], x.shape[3]);
  if (size < 4 || chance(0.6)) {
    if (channels > 1 && chance(0.2)) return depthwise(x);
    const int group = channels % 2 == 0 && chance(0.25)   ? 2
                      : channels % 3 == 0 && chance(0.25) ? 3
                                                          : 1;
    return convolution(x, group * (1 + below(8 / group)) + (group == 1 ? 1 : 0), 1, group);
  }
  const std::string window =
      one_of({"kernel_size: 3", "kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2",
              "kernel_size: 3 pad: 2", "kernel_size: 1 pad: 1", "kernel_size: 4 pad: 1",
              "kernel_h: 2 kernel_w: 3 pad_h: 0 pad_w: 1"});
  return apply("Convolution",
               "convolution_param { num_output: " + dim_of(few_channels()) + " " + window +
                   bias_term() + " }",
               {x});
}

Stream RandomLayers::deconvolution(const Stream& x) {
  const int channels = x.shape[1];
  const std::string window =
      one_of({"kernel_size: 2 stride: 2", "kernel_size: 3 pad: 1",
              "kernel_size: 4 stride: 2 pad: 1", "kernel_size: 2", "kernel_size: 1"});
  const int group = chance(0.25) ? channels : channels % 2 == 0 && chance(0.2) ? 2 : 1;
  const int outputs = group == channels ? channels : group * (1 + below(4));
  return apply("Deconvolution",
               "convolution_param { num_output: " + dim_of(outputs) + " " + window +
                   " group: " + dim_of(group) + bias_term() + " }",
               {x});
}

Stream RandomLayers::pooling(const Stream& x) {
  const int size = std::min(x.shape[2], x.shape[3]);
  const std::string window =
      size < 3 ? "kernel_size: 1"
               : one_of({"kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2",
                         "kernel_size: 3 stride: 1 pad: 1", "kernel_size: 3 stride: 2 pad: 1",
                         "kernel_size: 2", "kernel_size: 2 stride: 2 round_mode: FLOOR",
                         "kernel_h: 2 kernel_w: 1 stride: 1"});
  return apply(
      "Pooling",
      "pooling_param { pool: " + one_of<std::string>({"MAX", "MAX", "AVE"}) + " " + window + " }",
      {x});
}

Stream RandomLayers::global_pooling(const Stream& x) {
  return apply("Pooling",
               "pooling_param { global_pooling: true pool: " +
                   one_of<std::string>({"MAX", "AVE", "AVE"}) + " }",
               {x});
}

Stream RandomLayers::inner_product(const Stream& x, int outputs, const std::string& shared) {
  const std::string bias = bias_term();
  const std::string transpose = shared.empty() && chance(0.2) ? " transpose: true" : "";
  return apply("InnerProduct",
               param_names(shared, bias) + "inner_product_param { num_output: " + dim_of(outputs) +
                   bias + transpose + " }",
               {x});
}

Stream RandomLayers::to_vector(const Stream& x) {
  const int features = count(x.shape, 1, static_cast<int>(x.shape.size()));
  if (x.shape.size() == 2) return x;
  if (features > 150 && x.shape.size() == 4 && chance(0.6)) return to_vector(global_pooling(x));
  if (features > 150 || chance(0.3)) return inner_product(x, 3 + below(8));
  switch (below(4)) {
    case 0:
      return apply("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }", {x});
    case 1:
      return apply("Reshape", "reshape_param { shape { dim: 0 dim: " + dim_of(features) + " } }",
                   {x});
    default:
      return apply("Flatten", "", {x});
  }
}

Stream RandomLayers::eltwise(Streams inputs) {
  std::shuffle(inputs.begin(), inputs.end(), random_);
  std::string parameter;
  if (chance(0.2)) {
    if (chance(0.8)) inputs[0] = in_place(chance(0.5) ? "Sigmoid" : "TanH", "", inputs[0]);
    parameter = "eltwise_param { operation: PROD }";
  } else if (chance(0.2)) {
    parameter = "eltwise_param { operation: MAX }";
  } else if (chance(0.3)) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      parameter +=
          " coeff: " + std::string(i > 0 && chance(0.1) ? "0" : one_of({"1", "0.5", "-1", "-0.3"}));
    parameter = "eltwise_param {" + parameter + " }";
  }
  return apply("Eltwise", parameter, inputs);
}

Stream RandomLayers::concat(Streams inputs) {
  std::shuffle(inputs.begin(), inputs.end(), random_);
  return apply("Concat", chance(0.2) ? "concat_param { concat_dim: 1 }" : "", inputs);
}

Stream RandomLayers::odd_map(const Stream& x) {
  const Choice& choice = kOddMaps[below(std::size(kOddMaps))];
  const bool needs_room = std::string("SPP Im2col Flatten").find(choice.type) != std::string::npos;
  if (needs_room && std::min(x.shape[2], x.shape[3]) < 3) return neuron(x);
  if (choice.type == std::string("Tile") && count(x.shape, 1, 4) > 300) return neuron(x);
  return apply(choice.type, choice.parameter, {x});
}

Stream RandomLayers::odd_vector(const Stream& x) {
  const Choice& choice = kOddVectors[below(std::size(kOddVectors))];
  if (choice.type == std::string("Tile") && x.shape[1] > 50) return neuron(x);
  return apply(choice.type, choice.parameter, {x});
}

Stream RandomLayers::oddity(const Stream& x) {
  if (x.shape.size() == 4) return odd_map(x);
  return x.shape.size() == 2 ? odd_vector(x) : neuron(x);
}

}  // namespace vibnet
