#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>

namespace vibnet {

/// What is wrong with a prototxt, and where; from 1 on, as editors count.
struct TextError {
  int line = 1;
  int column = 1;
  std::string text;
};

/// Reads a prototxt's text. Returns the first thing that is wrong; nothing where all was read.
std::optional<TextError> parse_text(const std::string& text, google::protobuf::Message* message);

}  // namespace vibnet
