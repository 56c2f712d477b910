#include "export/layer_cases.h"

#include <sstream>

namespace vibnet {
namespace {

/// "x 2 3 5 5; index 4": Input layers.
std::string inputs_of(const std::string& inputs, std::string* bottoms) {
  std::string text;
  std::istringstream list(inputs);
  for (std::string input; std::getline(list, input, ';');) {
    std::istringstream words(input);
    std::string name;
    words >> name;
    text +=
        "layer { name: '" + name + "_in' type: 'Input' top: '" + name + "' input_param { shape {";
    for (std::string size; words >> size;) text += " dim: " + size;
    text += " } } }\n";
    *bottoms += " bottom: '" + name + "'";
  }
  return text;
}

/// A net of one layer with one top, `y`, and more if the layer's text says so.
OnnxCase one_layer(const std::string& name, const std::string& inputs, const std::string& layer) {
  std::string bottoms;
  const std::string text = inputs_of(inputs, &bottoms);
  return {name, text + "layer { name: 'l'" + bottoms + " top: 'y' " + layer + " }"};
}

void add_neurons(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const char* layer, const char* inputs = "x 2 3 4 5") {
    cases->push_back(one_layer(name, inputs, layer));
  };
  add("absval", "type: 'AbsVal'");
  add("bnll", "type: 'BNLL'");
  add("clip", "type: 'Clip' clip_param { min: -0.4 max: 0.6 }");
  add("dropout", "type: 'Dropout' dropout_param { dropout_ratio: 0.3 }");
  add("elu", "type: 'ELU' elu_param { alpha: 0.7 }");
  add("exp", "type: 'Exp'");
  add("exp_base", "type: 'Exp' exp_param { base: 2 scale: 0.5 shift: -1 }");
  add("exp_shift", "type: 'Exp' exp_param { scale: -0.5 shift: 0.3 }");
  add("hard_swish", "type: 'HardSwish'", "x 2 60");
  add("log", "type: 'Log'", "positive 2 3 4");
  add("log_base", "type: 'Log' log_param { base: 3 scale: 0.5 shift: 2 }", "positive 2 3 4");
  add("power", "type: 'Power' power_param { power: 1.7 scale: 2 shift: 0.5 }", "positive 2 3 4");
  add("power_linear", "type: 'Power' power_param { scale: -2 shift: 0.5 }");
  add("power_same", "type: 'Power'");
  add("power_square", "type: 'Power' power_param { power: 2 shift: 1 }");
  add("power_cube", "type: 'Power' power_param { power: 3 scale: -1 }");
  add("power_zero", "type: 'Power' power_param { power: 0 scale: 3 }");
  add("power_constant", "type: 'Power' power_param { power: 2 scale: 0 shift: 3 }");
  add("prelu", "type: 'PReLU'");
  add("prelu_matrix", "type: 'PReLU'", "x 3 7");
  add("prelu_shared", "type: 'PReLU' prelu_param { channel_shared: true }");
  add("relu", "type: 'ReLU'");
  add("relu_slope", "type: 'ReLU' relu_param { negative_slope: 0.2 }");
  add("relu6", "type: 'ReLU6'", "x 2 60");
  add("sigmoid", "type: 'Sigmoid'");
  add("swish", "type: 'Swish'");
  add("swish_beta", "type: 'Swish' swish_param { beta: 1.7 }");
  add("tanh", "type: 'TanH'");
  add("threshold", "type: 'Threshold' threshold_param { threshold: 0.25 }");
}

void add_scales(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const char* layer, const char* inputs = "x 2 3 4 5") {
    cases->push_back(one_layer(name, inputs, layer));
  };
  add("axpy", "type: 'Axpy'", "a 2 3; x 2 3 4 5; z 2 3 4 5");
  add("axpy_pooled", "type: 'Axpy'", "a 2 3 1 1; x 2 3 4 5; z 2 3 4 5");
  add("bias", "type: 'Bias'");
  add("bias_two_axes", "type: 'Bias' bias_param { axis: 1 num_axes: 2 }");
  add("bias_all", "type: 'Bias' bias_param { axis: -2 num_axes: -1 }");
  add("bias_bottom", "type: 'Bias' bias_param { axis: 0 }", "x 2 3 4 5; z 2 3");
  add("bottleneck", "type: 'InformationBottleneck'");
  add("bottleneck_matrix",
      "type: 'InformationBottleneck' "
      "information_bottleneck_param { threshold: -3 }",
      "x 4 9");
  add("eltwise_sum", "type: 'Eltwise'", "x 2 3 4; z 2 3 4; w 2 3 4");
  add("eltwise_coeff", "type: 'Eltwise' eltwise_param { coeff: 0.5 coeff: -1 }",
      "x 2 3 4; z 2 3 4");
  add("eltwise_prod", "type: 'Eltwise' eltwise_param { operation: PROD }",
      "x 2 3 4; z 2 3 4; w 2 3 4");
  add("eltwise_max", "type: 'Eltwise' eltwise_param { operation: MAX }",
      "x 2 3 4; z 2 3 4; w 2 3 4");
  add("hard_concrete", "type: 'HardConcrete'");
  add("scale", "type: 'Scale'");
  add("scale_bias", "type: 'Scale' scale_param { bias_term: true }");
  add("scale_matrix", "type: 'Scale' scale_param { bias_term: true }", "x 3 5");
  add("scale_two_axes", "type: 'Scale' scale_param { axis: -3 num_axes: 2 bias_term: true }");
  add("scale_one", "type: 'Scale' scale_param { num_axes: 0 bias_term: true }");
  add("scale_bottom", "type: 'Scale' scale_param { axis: 0 }", "x 2 3 4 5; z 2 3");
  add("scale_bottom_bias", "type: 'Scale' scale_param { axis: 1 bias_term: true }",
      "x 2 3 4 5; z 3 4");
}

void add_convolutions(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const std::string& layer,
                       const char* inputs = "x 2 4 9 8") {
    cases->push_back(one_layer(name, inputs, layer));
  };
  const auto convolution = [](const std::string& fields) {
    return "type: 'Convolution' convolution_param { num_output: 6 " + fields + " }";
  };
  const auto deconvolution = [](const std::string& fields) {
    return "type: 'Deconvolution' convolution_param { num_output: 6 " + fields + " }";
  };
  add("convolution", convolution("kernel_size: 3"));
  add("convolution_pad_stride", convolution("kernel_size: 3 pad: 1 stride: 2 bias_term: false"));
  add("convolution_rect",
      convolution("kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2"));
  add("convolution_lists", convolution("kernel_size: 2 kernel_size: 3 stride: 1 stride: 2 "
                                       "pad: 1 pad: 0 dilation: 2 dilation: 1"));
  add("convolution_dilation", convolution("kernel_size: 3 dilation: 2 pad: 2"));
  add("convolution_group", convolution("kernel_size: 3 group: 2"));
  add("convolution_1d", convolution("kernel_size: 3 pad: 1"), "x 2 4 9");
  add("convolution_3d", convolution("kernel_size: 2 stride: 2 pad: 1"), "x 2 4 5 4 3");
  add("convolution_axis", convolution("kernel_size: 3 axis: 2"), "x 2 3 4 5 6");
  add("convolution_axis0", convolution("kernel_size: 3 axis: 0"), "x 4 5 6");
  add("convolution_pairs", convolution("kernel_size: 3") + " top: 'second'",
      "x 2 4 9 8; z 2 4 9 8");
  add("depthwise",
      "type: 'DepthwiseConvolution' convolution_param { num_output: 8 kernel_size: 3 }");
  add("deconvolution", deconvolution("kernel_size: 4 stride: 2 pad: 1"), "x 2 4 5 4");
  add("deconvolution_group", deconvolution("kernel_size: 3 stride: 2 group: 2 bias_term: false"),
      "x 2 4 5 4");
  add("deconvolution_rect", deconvolution("kernel_h: 2 kernel_w: 3 stride_h: 3 stride_w: 1"),
      "x 2 4 5 4");
  add("deconvolution_dilation", deconvolution("kernel_size: 3 dilation: 2 pad: 1"), "x 2 4 5 4");
  add("embed", "type: 'Embed' embed_param { input_dim: 3 num_output: 5 }", "index 4 2");
  add("embed_plain", "type: 'Embed' embed_param { input_dim: 3 num_output: 5 bias_term: false }",
      "index 4");
  add("inner_product", "type: 'InnerProduct' inner_product_param { num_output: 5 }");
  add("inner_product_matrix", "type: 'InnerProduct' inner_product_param { num_output: 5 }",
      "x 3 7");
  add("inner_product_transpose",
      "type: 'InnerProduct' inner_product_param { num_output: 5 transpose: true bias_term: false "
      "}");
  add("inner_product_axis", "type: 'InnerProduct' inner_product_param { num_output: 5 axis: 2 }",
      "x 2 3 4");
  add("inner_product_axis_last",
      "type: 'InnerProduct' inner_product_param { num_output: 5 axis: -1 transpose: true }",
      "x 2 3 4");
}

/// Every kernel, stride, pad and rounding that fits, for each method.
void add_poolings(std::vector<OnnxCase>* cases) {
  for (const std::string method : {"MAX", "AVE"})
    for (const std::string rounding : {"CEIL", "FLOOR"})
      for (const int kernel : {2, 3})
        for (const int stride : {1, 2, 3})
          for (int pad = 0; pad < kernel; ++pad) {
            if (stride > kernel) continue;
            const std::string sizes = " kernel_size: " + std::to_string(kernel) +
                                      " stride: " + std::to_string(stride) +
                                      " pad: " + std::to_string(pad);
            cases->push_back(one_layer("pooling_" + method + "_" + rounding + "_k" +
                                           std::to_string(kernel) + "s" + std::to_string(stride) +
                                           "p" + std::to_string(pad),
                                       "x 2 3 7 8",
                                       "type: 'Pooling' pooling_param { pool: " + method +
                                           " round_mode: " + rounding + sizes + " }"));
          }
  const auto add = [&](const char* name, const std::string& fields, const char* more = "",
                       const char* input = "x 2 3 9 8") {
    cases->push_back(
        one_layer(name, input, "type: 'Pooling' pooling_param { " + fields + " } " + more));
  };
  add("pooling_mask", "pool: MAX kernel_size: 3 stride: 2 pad: 1", "top: 'mask'", "steps 2 3 9 8");
  add("pooling_global_max", "pool: MAX global_pooling: true");
  add("pooling_global_mask", "pool: MAX global_pooling: true", "top: 'mask'");
  add("pooling_global_ave", "pool: AVE global_pooling: true");
  add("pooling_stochastic", "pool: STOCHASTIC kernel_size: 3 stride: 2", "", "positive 2 3 8 7");
  add("pooling_stochastic_global", "pool: STOCHASTIC global_pooling: true", "", "positive 2 3 8 7");
  add("pooling_rect_max", "kernel_h: 2 kernel_w: 5 stride_h: 2 stride_w: 3 pad_h: 0 pad_w: 2");
  add("pooling_rect_ave",
      "pool: AVE kernel_h: 4 kernel_w: 3 stride_h: 3 stride_w: 2 pad_h: 1 pad_w: 0");
}

void add_pyramids(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const std::string& fields) {
    cases->push_back(
        one_layer(name, "positive 2 3 9 7", "type: 'SPP' spp_param { " + fields + " }"));
  };
  add("spp_one", "pyramid_height: 1");
  add("spp_max", "pyramid_height: 3");
  add("spp_ave", "pyramid_height: 3 pool: AVE");
}

void add_normalizations(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const char* layer, const char* inputs = "x 2 6 5 7") {
    cases->push_back(one_layer(name, inputs, layer));
  };
  add("batch_norm", "type: 'BatchNorm'");
  add("batch_norm_eps", "type: 'BatchNorm' batch_norm_param { eps: 0.1 }");
  add("batch_norm_matrix", "type: 'BatchNorm'", "x 3 5");
  add("batch_norm_3d", "type: 'BatchNorm'", "x 2 3 2 3 4");
  add("batch_norm_batch", "type: 'BatchNorm' batch_norm_param { use_global_stats: false }");
  add("lrn", "type: 'LRN'");
  add("lrn_all", "type: 'LRN' lrn_param { local_size: 3 alpha: 0.7 beta: 0.5 k: 2 }");
  add("lrn_within",
      "type: 'LRN' lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 0.7 beta: 0.5 }");
  add("mvn", "type: 'MVN'");
  add("mvn_across", "type: 'MVN' mvn_param { across_channels: true eps: 0.1 }");
  add("mvn_matrix", "type: 'MVN' mvn_param { across_channels: true }", "x 2 9");
  add("mvn_mean", "type: 'MVN' mvn_param { normalize_variance: false }");
  add("softmax", "type: 'Softmax'");
  add("softmax_axis", "type: 'Softmax' softmax_param { axis: -1 }");
}

void add_shapes(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const char* layer, const char* inputs = "x 2 6 4 5") {
    cases->push_back(one_layer(name, inputs, layer));
  };
  add("concat", "type: 'Concat'", "x 2 3 4; z 2 1 4");
  add("concat_one", "type: 'Concat'", "x 2 3 4");
  add("concat_batch", "type: 'Concat' concat_param { axis: 0 }", "x 2 3 4; z 2 3 4");
  add("concat_dim", "type: 'Concat' concat_param { concat_dim: 2 }", "x 2 3 4; z 2 3 1");
  add("concat_last", "type: 'Concat' concat_param { axis: -1 }", "x 2 3 4; z 2 3 1");
  add("crop", "type: 'Crop' crop_param { offset: 1 }", "x 2 3 6 7; z 2 3 4 5");
  add("crop_axis", "type: 'Crop' crop_param { axis: -1 offset: 2 }", "x 2 3 6 7; z 2 3 6 5");
  add("crop_each", "type: 'Crop' crop_param { axis: 1 offset: 0 offset: 2 offset: 1 }",
      "x 2 3 6 7; z 2 2 4 5");
  add("flatten", "type: 'Flatten'");
  add("flatten_middle", "type: 'Flatten' flatten_param { axis: 1 end_axis: 2 }");
  add("flatten_all", "type: 'Flatten' flatten_param { axis: 0 }");
  add("permute", "type: 'Permute' permute_param { order: 0 order: 2 order: 3 order: 1 }");
  add("permute_two", "type: 'Permute' permute_param { order: 1 order: 0 }");
  add("shuffle_channel", "type: 'ShuffleChannel' shuffle_channel_param { group: 3 }");
  add("interp_size", "type: 'Interp' interp_param { height: 7 width: 9 }");
  add("interp_zoom", "type: 'Interp' interp_param { zoom_factor: 3 }");
  add("interp_shrink", "type: 'Interp' interp_param { shrink_factor: 2 }");
  add("interp_pad", "type: 'Interp' interp_param { zoom_factor: 2 pad_beg: -1 pad_end: -1 }");
  add("interp_one", "type: 'Interp' interp_param { height: 1 width: 1 }");
  add("reshape", "type: 'Reshape' reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 10 } }");
  add("reshape_middle",
      "type: 'Reshape' reshape_param { axis: 1 num_axes: 2 shape { dim: 3 dim: -1 } }");
  add("reshape_fixed", "type: 'Reshape' reshape_param { shape { dim: 2 dim: 120 } }");
  add("reshape_folded", "type: 'Reshape' reshape_param { shape { dim: -1 dim: 5 } }");
  add("slice", "type: 'Slice' top: 'z'");
  add("slice_points",
      "type: 'Slice' top: 'z' top: 'w' slice_param { slice_point: 1 slice_point: 4 }");
  add("slice_dim", "type: 'Slice' top: 'z' slice_param { slice_dim: 3 slice_point: 1 }");
  add("slice_batch", "type: 'Slice' top: 'z' slice_param { axis: 0 }");
  add("slice_one", "type: 'Slice'");
  add("split", "type: 'Split' top: 'z'");
  add("tile", "type: 'Tile' tile_param { tiles: 3 }");
  add("tile_axis", "type: 'Tile' tile_param { axis: -2 tiles: 2 }");
  add("tile_batch", "type: 'Tile' tile_param { axis: 0 tiles: 2 }");
}

void add_reductions(std::vector<OnnxCase>* cases) {
  const auto add = [&](const char* name, const char* layer, const char* inputs = "steps 2 6 4 5") {
    cases->push_back(one_layer(name, inputs, layer));
  };
  add("arg_max", "type: 'ArgMax'");
  add("arg_max_value", "type: 'ArgMax' argmax_param { out_max_val: true top_k: 3 }");
  add("arg_max_top", "type: 'ArgMax' argmax_param { top_k: 4 }", "steps 2 7");
  add("arg_max_axis", "type: 'ArgMax' argmax_param { axis: 1 top_k: 2 }");
  add("arg_max_axis_value", "type: 'ArgMax' argmax_param { axis: -1 out_max_val: true }");
  add("batch_reindex", "type: 'BatchReindex'", "x 4 3 2; index 5");
  add("reduction", "type: 'Reduction'", "x 2 3 4");
  add("reduction_asum", "type: 'Reduction' reduction_param { operation: ASUM axis: 1 coeff: 2 }");
  add("reduction_sumsq", "type: 'Reduction' reduction_param { operation: SUMSQ axis: -1 }");
  add("reduction_mean", "type: 'Reduction' reduction_param { operation: MEAN axis: 2 coeff: -1 }");
}

}  // namespace

std::vector<OnnxCase> layer_cases() {
  std::vector<OnnxCase> cases;
  add_neurons(&cases);
  add_scales(&cases);
  add_convolutions(&cases);
  add_poolings(&cases);
  add_pyramids(&cases);
  add_normalizations(&cases);
  add_shapes(&cases);
  add_reductions(&cases);
  return cases;
}

std::vector<OnnxCase> graph_cases() {
  const std::string input =
      "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 "
      "} "
      "} }\n";
  const std::string convolution =
      "layer { name: 'conv' type: 'Convolution' bottom: 'x' top: 'conv' "
      "convolution_param { num_output: 3 kernel_size: 3 pad: 1 } }\n";
  return {
      {"in_place_of_another_shape",
       input +
           "layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip' inner_product_param { "
           "num_output: 7 } }\n"
           "layer { name: 'mvn' type: 'MVN' bottom: 'ip' top: 'ip' mvn_param { across_channels: "
           "true } }\n"},
      {"in_place", input + convolution +
                       "layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }\n"
                       "layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' }\n"
                       "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }\n"},
      {"input_in_place", input +
                             "layer { name: 'power' type: 'Power' bottom: 'x' top: 'x' "
                             "power_param { scale: 2 shift: 1 } }\n" +
                             convolution},
      {"input_is_output", input + "layer { name: 'drop' type: 'Dropout' bottom: 'x' top: 'x' }\n"},
      {"residual", input + convolution +
                       "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }\n"
                       "layer { name: 'sum' type: 'Eltwise' bottom: 'conv' bottom: 'x' top: 'sum' "
                       "}\n"
                       "layer { name: 'join' type: 'Concat' bottom: 'sum' bottom: 'conv' "
                       "top: 'join' }\n"},
      {"clashing_names",
       input + "layer { name: 'a' type: 'Swish' bottom: 'x' top: 'a/Sigmoid' }\n"
               "layer { name: 'a/Sigmoid' type: 'Sigmoid' bottom: 'a/Sigmoid' top: 'a/0' }\n"
               "layer { name: 'a' type: 'Scale' bottom: 'a/0' top: 'y' }\n"},
      {"silenced", input +
                       "layer { name: 'slice' type: 'Slice' bottom: 'x' top: 'a' top: 'b' top: 'c' "
                       "}\n"
                       "layer { name: 'silence' type: 'Silence' bottom: 'b' }\n"
                       "layer { name: 'join' type: 'Concat' bottom: 'c' bottom: 'a' top: 'y' }\n"},
      {"heads", input + convolution +
                    "layer { name: 'label' type: 'DummyData' top: 'label' top: 'unused' "
                    "dummy_data_param { shape { dim: 2 dim: 2 } shape { dim: 1 } } }\n"
                    "layer { name: 'labels' type: 'Slice' bottom: 'label' top: 'l1' top: 'l2' }\n"
                    "layer { name: 'a' type: 'InnerProduct' bottom: 'conv' top: 'a' "
                    "inner_product_param { num_output: 4 } }\n"
                    "layer { name: 'b' type: 'InnerProduct' bottom: 'conv' top: 'b' "
                    "inner_product_param { num_output: 1 } }\n"
                    "layer { name: 'loss1' type: 'SoftmaxWithLoss' bottom: 'a' bottom: 'l1' "
                    "top: 'loss1' }\n"
                    "layer { name: 'loss2' type: 'EuclideanLoss' bottom: 'b' bottom: 'l2' "
                    "top: 'loss2' }\n"
                    "layer { name: 'both' type: 'Eltwise' bottom: 'loss1' bottom: 'loss2' "
                    "top: 'both' }\n"
                    "layer { name: 'accuracy' type: 'Accuracy' bottom: 'a' bottom: 'l1' "
                    "top: 'accuracy' }\n"},
      {"parameter",
       input + "layer { name: 'p' type: 'Parameter' top: 'p' parameter_param { shape { dim: 3 } } "
               "}\n"
               "layer { name: 'y' type: 'Bias' bottom: 'x' bottom: 'p' top: 'y' }\n"},
      {"shared_weights",
       input + "layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' param { name: 'w' } "
               "param { name: 'b' } inner_product_param { num_output: 4 } }\n"
               "layer { name: 'b' type: 'InnerProduct' bottom: 'x' top: 'b' param { name: 'w' } "
               "param { name: 'b' } inner_product_param { num_output: 4 } }\n"},
  };
}

}  // namespace vibnet
