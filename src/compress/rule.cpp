#include "compress/rule.h"

#include <map>
#include <string>

namespace vibnet {
namespace {

using MakeRule = Rule (*)(const LayerParameter&);

constexpr Rule kScales{Role::CHANNELWISE, true, Homogeneous::ALWAYS};
constexpr Rule kScalesPositive{Role::CHANNELWISE, true, Homogeneous::FOR_POSITIVE};
constexpr Rule kShifts{Role::CHANNELWISE, false, Homogeneous::NEVER};
constexpr Rule kMixes{Role::MIXER, false, Homogeneous::NEVER};

Rule pooling(const LayerParameter& layer) {
  return layer.pooling_param().pool() == PoolingParameter::AVE ? kScales : kScalesPositive;
}

Rule flatten(const LayerParameter& layer) {
  const FlattenParameter& parameter = layer.flatten_param();
  return parameter.axis() == 1 && parameter.end_axis() == -1 ? kScales : Rule();
}

Rule scale(const LayerParameter& layer) {
  const ScaleParameter& parameter = layer.scale_param();
  if (layer.bottom_size() != 1 || parameter.axis() != 1 || parameter.num_axes() != 1) return {};
  return parameter.bias_term() ? kShifts : kScales;
}

Rule convolution(const LayerParameter& layer) {
  const ConvolutionParameter& parameter = layer.convolution_param();
  return parameter.group() == 1 && parameter.axis() == 1 ? kMixes : Rule();
}

Rule inner_product(const LayerParameter& layer) {
  return layer.inner_product_param().axis() == 1 ? kMixes : Rule();
}

const std::map<std::string, MakeRule>& rules() {
  static const std::map<std::string, MakeRule> all = {
      {"BatchNorm", [](const LayerParameter&) { return kShifts; }},
      {"Convolution", convolution},
      {"Dropout", [](const LayerParameter&) { return kScales; }},
      {"Flatten", flatten},
      {"InformationBottleneck", [](const LayerParameter&) { return kScales; }},
      {"InnerProduct", inner_product},
      {"PReLU", [](const LayerParameter&) { return kScalesPositive; }},
      {"Pooling", pooling},
      {"ReLU", [](const LayerParameter&) { return kScalesPositive; }},
      {"Scale", scale},
  };
  return all;
}

}  // namespace

Rule rule_of(const LayerParameter& layer) {
  const auto found = rules().find(layer.type());
  return found == rules().end() ? Rule() : found->second(layer);
}

int per_channel_blobs(const LayerParameter& layer) {
  if (layer.type() == "BatchNorm") return 2;
  if (layer.type() == "PReLU" && layer.prelu_param().channel_shared()) return 0;
  return layer.blobs_size();
}

}  // namespace vibnet
