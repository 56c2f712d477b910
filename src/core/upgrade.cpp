#include "core/upgrade.h"

#include <algorithm>
#include <map>
#include <string>

#include "core/upgrade_v0.h"
#include "vibnet/blob.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// The type names that are not the V1 enum's word in camel case.
const std::map<std::string, std::string>& irregular_types() {
  static const std::map<std::string, std::string> types = {{"ABSVAL", "AbsVal"},
                                                           {"ARGMAX", "ArgMax"},
                                                           {"BNLL", "BNLL"},
                                                           {"HDF5_DATA", "HDF5Data"},
                                                           {"HDF5_OUTPUT", "HDF5Output"},
                                                           {"LRN", "LRN"},
                                                           {"MVN", "MVN"},
                                                           {"RELU", "ReLU"},
                                                           {"SOFTMAX_LOSS", "SoftmaxWithLoss"},
                                                           {"TANH", "TanH"}};
  return types;
}

/// "INNER_PRODUCT" -> "InnerProduct".
std::string type_of(const std::string& v1) {
  const auto irregular = irregular_types().find(v1);
  if (irregular != irregular_types().end()) return irregular->second;
  std::string type;
  bool starts_word = true;
  for (const char c : v1) {
    if (c != '_') type += starts_word ? c : static_cast<char>(std::tolower(c));
    starts_word = c == '_';
  }
  return type;
}

/// Copies every set field that both messages have under one name and type.
void copy_equal_fields(const Message& from, Message* to) {
  std::vector<const FieldDescriptor*> set;
  from.GetReflection()->ListFields(from, &set);
  for (const FieldDescriptor* field : set) {
    const FieldDescriptor* target = to->GetDescriptor()->FindFieldByName(field->name());
    if (target == nullptr || field->message_type() == nullptr ||
        target->message_type() != field->message_type())
      continue;
    const Reflection* in = from.GetReflection();
    const Reflection* out = to->GetReflection();
    if (!field->is_repeated()) {
      out->MutableMessage(to, target)->CopyFrom(in->GetMessage(from, field));
      continue;
    }
    for (int i = 0; i < in->FieldSize(from, field); ++i)
      out->AddMessage(to, target)->CopyFrom(in->GetRepeatedMessage(from, field, i));
  }
}

LayerParameter upgrade_v1_layer(V1LayerParameter* v1) {
  LayerParameter layer;
  layer.set_name(v1->name());
  if (v1->type() != V1LayerParameter::NONE)
    layer.set_type(type_of(V1LayerParameter::LayerType_Name(v1->type())));
  *layer.mutable_bottom() = v1->bottom();
  *layer.mutable_top() = v1->top();
  *layer.mutable_loss_weight() = v1->loss_weight();
  layer.mutable_blobs()->Swap(v1->mutable_blobs());
  copy_equal_fields(*v1, &layer);
  for (int i = 0; i < v1->param_size(); ++i) param_of(&layer, i)->set_name(v1->param(i));
  for (int i = 0; i < v1->blob_share_mode_size(); ++i)
    param_of(&layer, i)->set_share_mode(
        static_cast<ParamSpec::DimCheckMode>(v1->blob_share_mode(i)));
  set_multipliers(*v1, &layer);
  return layer;
}

/// Moves the transformation fields that once stood in a data layer's own parameter.
template <typename Parameter>
void move_transform(Parameter* from, TransformationParameter* to) {
  if (from->has_scale()) to->set_scale(from->scale());
  if (from->has_mean_file()) to->set_mean_file(from->mean_file());
  if (from->has_crop_size()) to->set_crop_size(from->crop_size());
  if (from->has_mirror()) to->set_mirror(from->mirror());
  from->clear_scale();
  from->clear_mean_file();
  from->clear_crop_size();
  from->clear_mirror();
}

template <typename Parameter>
bool has_transform(const Parameter& parameter) {
  return parameter.has_scale() || parameter.has_mean_file() || parameter.has_crop_size() ||
         parameter.has_mirror();
}

void upgrade_transform(LayerParameter* layer) {
  if (has_transform(layer->data_param()))
    move_transform(layer->mutable_data_param(), layer->mutable_transform_param());
  if (has_transform(layer->image_data_param()))
    move_transform(layer->mutable_image_data_param(), layer->mutable_transform_param());
  if (has_transform(layer->window_data_param()))
    move_transform(layer->mutable_window_data_param(), layer->mutable_transform_param());
}

/// Before Caffe 1.0 a prototxt had to keep the solver off a BatchNorm's three blobs itself.
void upgrade_batch_norm(LayerParameter* layer) {
  if (layer->type() != "BatchNorm" || layer->param_size() != 3) return;
  for (ParamSpec& param : *layer->mutable_param())
    if (param.lr_mult() != 0) param.set_lr_mult(0);
}

/// The Input layer for the net's `input` fields. A caffemodel may name inputs without shapes.
LayerParameter input_layer(const NetParameter& net) {
  LayerParameter layer;
  layer.set_name("input");
  layer.set_type("Input");
  *layer.mutable_top() = net.input();
  *layer.mutable_input_param()->mutable_shape() = net.input_shape();
  if (net.input_dim_size() == 0) return layer;
  if (net.input_shape_size() > 0) fail("has both input_shape and input_dim; give one");
  if (net.input_dim_size() != 4 * net.input_size())
    fail("has ", net.input_dim_size(), " input_dim for ", net.input_size(),
         " input(s); 4 are needed for each");
  for (int i = 0; i < net.input_dim_size(); ++i) {
    if (i % 4 == 0) layer.mutable_input_param()->add_shape();
    layer.mutable_input_param()->mutable_shape(i / 4)->add_dim(net.input_dim(i));
  }
  return layer;
}

void upgrade_inputs(NetParameter* net) {
  if (net->input_size() == 0) return;
  *net->add_layer() = input_layer(*net);
  for (int i = net->layer_size() - 1; i > 0; --i) net->mutable_layer()->SwapElements(i, i - 1);
  net->clear_input();
  net->clear_input_shape();
  net->clear_input_dim();
}

/// Throws Error, naming the layer, where a blob's shape cannot be.
void check_shape(const LayerParameter& layer, int blob) {
  try {
    shape_of(layer.blobs(blob));
  } catch (const Error& error) {
    fail("layer '", layer.name(), "' blob ", blob, ": ", error.what());
  }
}

void check_shapes(const NetParameter& net) {
  for (const LayerParameter& layer : net.layer())
    for (int blob = 0; blob < layer.blobs_size(); ++blob) check_shape(layer, blob);
}

}  // namespace

ParamSpec* param_of(LayerParameter* layer, int index) {
  while (layer->param_size() <= index) layer->add_param();
  return layer->mutable_param(index);
}

void upgrade_net(NetParameter* net) {
  if (net->layers_size() > 0 && net->layer_size() > 0)
    fail("mixes `layers`, the old form, with `layer`; use one of them");
  fold_v0_padding(net);
  for (V1LayerParameter& old : *net->mutable_layers())
    *net->add_layer() = old.has_layer() ? upgrade_v0_layer(&old) : upgrade_v1_layer(&old);
  net->clear_layers();
  for (LayerParameter& layer : *net->mutable_layer()) {
    upgrade_transform(&layer);
    upgrade_batch_norm(&layer);
  }
  upgrade_inputs(net);
}

NetParameter upgraded_net(NetParameter net, const std::string& path) {
  try {
    upgrade_net(&net);
    check_shapes(net);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
  if (net.layer_size() == 0) fail(path, ": holds no layers");
  return net;
}

}  // namespace vibnet
