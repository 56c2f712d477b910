#include "core/upgrade_v0.h"

#include <glog/logging.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/names.h"
#include "core/upgrade.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// What a V0 type is called today, and which parameter holds its fields.
struct Type {
  const char* name;
  const char* parameter;
};

const std::map<std::string, Type>& types() {
  static const std::map<std::string, Type> all = {
      {"accuracy", {"Accuracy", "accuracy_param"}},
      {"bnll", {"BNLL", ""}},
      {"concat", {"Concat", "concat_param"}},
      {"conv", {"Convolution", "convolution_param"}},
      {"data", {"Data", "data_param"}},
      {"dropout", {"Dropout", "dropout_param"}},
      {"euclidean_loss", {"EuclideanLoss", ""}},
      {"flatten", {"Flatten", ""}},
      {"hdf5_data", {"HDF5Data", "hdf5_data_param"}},
      {"hdf5_output", {"HDF5Output", ""}},
      {"im2col", {"Im2col", "convolution_param"}},
      {"images", {"ImageData", "image_data_param"}},
      {"infogain_loss", {"InfogainLoss", "infogain_loss_param"}},
      {"innerproduct", {"InnerProduct", "inner_product_param"}},
      {"lrn", {"LRN", "lrn_param"}},
      {"multinomial_logistic_loss", {"MultinomialLogisticLoss", ""}},
      {"pool", {"Pooling", "pooling_param"}},
      {"relu", {"ReLU", ""}},
      {"sigmoid", {"Sigmoid", ""}},
      {"softmax", {"Softmax", ""}},
      {"softmax_loss", {"SoftmaxWithLoss", ""}},
      {"split", {"Split", ""}},
      {"tanh", {"TanH", ""}},
      {"window_data", {"WindowData", "window_data_param"}},
  };
  return all;
}

/// The fields that have another name today.
std::string today(const std::string& field) {
  static const std::map<std::string, std::string> renamed = {{"biasterm", "bias_term"},
                                                             {"kernelsize", "kernel_size"},
                                                             {"meanfile", "mean_file"},
                                                             {"batchsize", "batch_size"},
                                                             {"cropsize", "crop_size"},
                                                             {"shuffle_images", "shuffle"},
                                                             {"det_fg_threshold", "fg_threshold"},
                                                             {"det_bg_threshold", "bg_threshold"},
                                                             {"det_fg_fraction", "fg_fraction"},
                                                             {"det_context_pad", "context_pad"},
                                                             {"det_crop_mode", "crop_mode"}};
  const auto found = renamed.find(field);
  return found == renamed.end() ? field : found->second;
}

/// The message of the layer that a V0 field belongs into; "" where the type has none.
std::string parameter_of(const std::string& field, const Type& type) {
  static const std::set<std::string> transforms = {"scale", "meanfile", "cropsize", "mirror"};
  if (transforms.count(field) > 0) return "transform_param";
  return type.parameter;
}

void set_number(std::int64_t value, const FieldDescriptor* target, Message* to) {
  const Reflection* out = to->GetReflection();
  if (value < 0) fail(target->name(), ": ", value, " cannot be negative");
  const auto number = static_cast<std::uint32_t>(value);
  if (target->is_repeated())
    out->AddUInt32(to, target, number);
  else
    out->SetUInt32(to, target, number);
}

void copy_value(const Message& from, const FieldDescriptor* field, const FieldDescriptor* target,
                Message* to) {
  const Reflection* in = from.GetReflection();
  const Reflection* out = to->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return set_number(in->GetUInt32(from, field), target, to);
    case FieldDescriptor::CPPTYPE_INT32:
      return set_number(in->GetInt32(from, field), target, to);
    case FieldDescriptor::CPPTYPE_BOOL:
      return out->SetBool(to, target, in->GetBool(from, field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return out->SetFloat(to, target, in->GetFloat(from, field));
    case FieldDescriptor::CPPTYPE_STRING:
      return out->SetString(to, target, in->GetString(from, field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return out->SetEnumValue(to, target, in->GetEnumValue(from, field));
    default:
      out->MutableMessage(to, target)->CopyFrom(in->GetMessage(from, field));
  }
}

/// Copies one set field of the V0 layer to its place; false where it has none.
bool copy_field(const V0LayerParameter& v0, const FieldDescriptor* field, const Type& type,
                LayerParameter* layer) {
  const FieldDescriptor* parameter =
      layer->GetDescriptor()->FindFieldByName(parameter_of(field->name(), type));
  if (parameter == nullptr) return false;
  const FieldDescriptor* target = parameter->message_type()->FindFieldByName(today(field->name()));
  if (target == nullptr) return false;
  copy_value(v0, field, target, layer->GetReflection()->MutableMessage(layer, parameter));
  return true;
}

const Type& type_of(const V0LayerParameter& v0) {
  const auto found = types().find(v0.type());
  if (found != types().end()) return found->second;
  std::vector<std::string> known;
  for (const auto& type : types()) known.push_back(type.first);
  fail("layer '", v0.name(), "': the V0 type '", v0.type(), "' is not known; ",
       nearest_names(v0.type(), known));
}

/// Whether something copies the field's value apart from copy_field.
bool has_own_copy(const std::string& field) {
  static const std::set<std::string> fields = {"name",     "type",         "blobs",
                                               "blobs_lr", "weight_decay", "hdf5_output_param"};
  return fields.count(field) > 0;
}

}  // namespace

LayerParameter upgrade_v0_layer(V1LayerParameter* connection) {
  V0LayerParameter* v0 = connection->mutable_layer();
  const Type& type = type_of(*v0);
  LayerParameter layer;
  layer.set_name(v0->name());
  layer.set_type(type.name);
  *layer.mutable_bottom() = connection->bottom();
  *layer.mutable_top() = connection->top();
  layer.mutable_blobs()->Swap(v0->mutable_blobs());
  set_multipliers(*v0, &layer);
  if (v0->has_hdf5_output_param()) *layer.mutable_hdf5_output_param() = v0->hdf5_output_param();
  std::vector<const FieldDescriptor*> set;
  v0->GetReflection()->ListFields(*v0, &set);
  for (const FieldDescriptor* field : set) {
    if (has_own_copy(field->name()) || copy_field(*v0, field, type, &layer)) continue;
    LOG(WARNING) << "layer '" << v0->name() << "': " << field->name()
                 << " means nothing to a layer of type " << v0->type() << "; it is passed over";
  }
  return layer;
}

void fold_v0_padding(NetParameter* net) {
  std::map<std::string, const V1LayerParameter*> padding;
  for (V1LayerParameter& reader : *net->mutable_layers()) {
    const std::string& type = reader.layer().type();
    for (std::string& bottom : *reader.mutable_bottom()) {
      const auto found = padding.find(bottom);
      if (found == padding.end()) continue;
      if ((type != "conv" && type != "pool") || reader.bottom_size() != 1)
        fail("layer '", reader.layer().name(), "' (", type,
             "): stands behind a padding layer; only conv and pool with one bottom may");
      reader.mutable_layer()->set_pad(found->second->layer().pad());
      bottom = found->second->bottom(0);
    }
    if (type == "padding" && (reader.bottom_size() != 1 || reader.top_size() != 1))
      fail("layer '", reader.layer().name(), "' (padding): needs one bottom and one top");
    for (const std::string& top : reader.top()) {
      padding.erase(top);
      if (type == "padding") padding[top] = &reader;
    }
  }
  auto* layers = net->mutable_layers();
  for (int i = layers->size() - 1; i >= 0; --i)
    if (layers->Get(i).layer().type() == "padding") layers->DeleteSubrange(i, 1);
}

}  // namespace vibnet
