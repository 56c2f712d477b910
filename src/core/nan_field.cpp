#include "core/nan_field.h"

#include <cmath>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// The path of what is no number in value `index` of the field, itself included; empty for none.
std::string nan_in(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* in = message.GetReflection();
  const bool repeated = field->is_repeated();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
    const float value =
        repeated ? in->GetRepeatedFloat(message, field, index) : in->GetFloat(message, field);
    return std::isnan(value) ? field->name() : "";
  }
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
      field->message_type() == BlobProto::descriptor())
    return "";
  const std::string inner = nan_field(repeated ? in->GetRepeatedMessage(message, field, index)
                                               : in->GetMessage(message, field));
  return inner.empty() ? "" : field->name() + "." + inner;
}

}  // namespace

std::string nan_field(const Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int values =
        field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
    for (int i = 0; i < values; ++i) {
      std::string path = nan_in(message, field, i);
      if (!path.empty()) return path;
    }
  }
  return "";
}

}  // namespace vibnet
