#include "export/rules.h"

#include <map>

namespace vibnet {
namespace {

const std::map<std::string, ExportRule>& rules() {
  static const std::map<std::string, ExportRule> all = {
      {"AbsVal", export_abs_val},
      {"ArgMax", export_arg_max},
      {"Axpy", export_axpy},
      {"BNLL", export_bnll},
      {"BatchNorm", export_batch_norm},
      {"BatchReindex", export_batch_reindex},
      {"Bias", export_bias},
      {"Clip", export_clip},
      {"Concat", export_concat},
      {"Convolution", export_convolution},
      {"Crop", export_crop},
      {"Deconvolution", export_deconvolution},
      {"DepthwiseConvolution", export_convolution},
      {"Dropout", export_same},
      {"ELU", export_elu},
      {"Eltwise", export_eltwise},
      {"Embed", export_embed},
      {"Exp", export_exp},
      {"Flatten", export_shape_of_top},
      {"HardConcrete", export_gate},
      {"HardSwish", export_hard_swish},
      {"InformationBottleneck", export_gate},
      {"InnerProduct", export_inner_product},
      {"Interp", export_interp},
      {"LRN", export_lrn},
      {"Log", export_log},
      {"MVN", export_mvn},
      {"PReLU", export_prelu},
      {"Parameter", export_parameter},
      {"Permute", export_permute},
      {"Pooling", export_pooling},
      {"Power", export_power},
      {"ReLU", export_relu},
      {"ReLU6", export_relu6},
      {"Reduction", export_reduction},
      {"Reshape", export_shape_of_top},
      {"SPP", export_spp},
      {"Scale", export_scale},
      {"ShuffleChannel", export_shuffle_channel},
      {"Sigmoid", export_sigmoid},
      {"Silence", export_silence},
      {"Slice", export_slice},
      {"Softmax", export_softmax},
      {"Split", export_same},
      {"Swish", export_swish},
      {"TanH", export_tanh},
      {"Threshold", export_threshold},
      {"Tile", export_tile},
  };
  return all;
}

}  // namespace

ExportRule find_export_rule(const std::string& type) {
  const auto found = rules().find(type);
  return found == rules().end() ? nullptr : found->second;
}

}  // namespace vibnet
