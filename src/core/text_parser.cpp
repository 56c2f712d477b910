#include "core/text_parser.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>

#include <tuple>
#include <vector>

#include "core/names.h"

namespace vibnet {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::io::ColumnNumber;
using google::protobuf::io::Tokenizer;

/// Keeps the first complaint of protobuf's parser.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, ColumnNumber column, const std::string& message) override {
    if (!error_) error_ = TextError{line + 1, column + 1, message};
  }
  void AddWarning(int /*line*/, ColumnNumber /*column*/, const std::string& /*text*/) override {}

  const std::optional<TextError>& error() const { return error_; }

 private:
  std::optional<TextError> error_;
};

/// Walks over a prototxt's tokens up to a place, and knows the field that stands there.
class Walk {
 public:
  Walk(const std::string& text, const Descriptor* type)
      : stream_(text.data(), static_cast<int>(text.size())),
        tokenizer_(&stream_, &ignored_),
        open_{type} {
    tokenizer_.set_allow_f_after_float(true);
    tokenizer_.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
    tokenizer_.set_require_space_after_number(false);
    tokenizer_.set_allow_multiline_strings(true);
  }

  void go_to(const TextError& place) {
    while (tokenizer_.Next() &&
           std::tuple(tokenizer_.current().line + 1, tokenizer_.current().column + 1) <
               std::tuple(place.line, place.column))
      take(tokenizer_.current());
  }

  /// The last field named before the place; null where it is not known.
  const FieldDescriptor* field() const { return field_; }
  /// The last token before the place.
  const Tokenizer::Token& last() const { return last_; }

 private:
  void take(const Tokenizer::Token& token) {
    const bool opens = token.text == "{" || token.text == "<";
    const bool closes = token.text == "}" || token.text == ">";
    if (opens) open_.push_back(field_ == nullptr ? nullptr : field_->message_type());
    if (closes && open_.size() > 1) open_.pop_back();
    if (token.type == Tokenizer::TYPE_IDENTIFIER && last_.text != ":" && open_.back() != nullptr)
      field_ = open_.back()->FindFieldByName(token.text);
    last_ = token;
  }

  FirstError ignored_;
  google::protobuf::io::ArrayInputStream stream_;
  Tokenizer tokenizer_;
  std::vector<const Descriptor*> open_;
  const FieldDescriptor* field_ = nullptr;
  Tokenizer::Token last_;
};

/// "it takes MAX, AVE or STOCHASTIC"; of many values, those nearest to the mistyped one.
std::string describe_values(const EnumDescriptor& type, const std::string& mistyped) {
  constexpr int kMostListed = 10;
  std::vector<std::string> names;
  names.reserve(type.value_count());
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  if (type.value_count() > kMostListed) return nearest_names(mistyped, names);
  std::string text = "it takes ";
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

/// Says of a wrong value what would be right. Protobuf names the place behind some of them.
TextError explained(TextError error, const std::string& text, const Descriptor* type) {
  const bool is_unknown = starts_with(error.text, "Unknown enumeration value");
  const bool is_no_name = starts_with(error.text, "Expected integer or identifier");
  const bool is_no_bool = starts_with(error.text, "Invalid value for boolean");
  if (!is_unknown && !is_no_name && !is_no_bool) return error;
  Walk walk(text, type);
  walk.go_to(error);
  if (is_unknown || is_no_bool) {
    error.line = walk.last().line + 1;
    error.column = walk.last().column + 1;
  }
  if (error.text.back() == '.') error.text.pop_back();
  if (is_no_bool) error.text += "; it takes true or false";
  const EnumDescriptor* values = walk.field() == nullptr ? nullptr : walk.field()->enum_type();
  if (values != nullptr) error.text += "; " + describe_values(*values, walk.last().text);
  return error;
}

}  // namespace

std::optional<TextError> parse_text(const std::string& text, Message* message) {
  FirstError errors;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (parser.ParseFromString(text, message)) return std::nullopt;
  if (!errors.error()) return TextError{1, 1, "is not a prototxt"};
  return explained(*errors.error(), text, message->GetDescriptor());
}

}  // namespace vibnet
