#include "solver/set_field.h"

#include <google/protobuf/descriptor.h>

#include <sstream>
#include <vector>

#include "core/names.h"
#include "core/text_parser.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor* find_field(const std::string& name, const Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field != nullptr) return field;
  std::vector<std::string> known;
  known.reserve(message.GetDescriptor()->field_count());
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i)
    known.push_back(message.GetDescriptor()->field(i)->name());
  fail(message.GetDescriptor()->name(), " has no field '", name, "'; ", nearest_names(name, known));
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// `given` is the whole assignment, for messages.
void set_field(const std::string& path, const std::string& value, const std::string& given,
               Message* message) {
  const std::size_t dot = path.find('.');
  const FieldDescriptor* field = find_field(path.substr(0, dot), *message);
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (is_message && (dot == std::string::npos || field->is_repeated()))
    fail("--set ", given, ": ", field->name(), " is a message; name one of its fields");
  if (is_message)
    return set_field(path.substr(dot + 1), value, given,
                     message->GetReflection()->MutableMessage(message, field));
  if (dot != std::string::npos) fail("--set ", given, ": ", field->name(), " has no fields");
  message->GetReflection()->ClearField(message, field);
  const bool is_text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  std::istringstream values(value);
  std::string text;
  for (std::string one; std::getline(values, one, field->is_repeated() ? ',' : '\0');)
    text += field->name() + ": " + (is_text ? quoted(one) : one) + "\n";
  const auto error = parse_text(text + to_prototxt(*message), message);
  if (error) fail("--set ", given, ": ", error->text);
}

}  // namespace

void set_field(const std::string& assignment, Message* message) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) fail("--set ", assignment, ": needs field=value");
  set_field(assignment.substr(0, equals), assignment.substr(equals + 1), assignment, message);
}

}  // namespace vibnet
