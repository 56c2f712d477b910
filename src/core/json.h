#pragma once

#include <string>

namespace vibnet {

/// The text as a JSON string, quotes and all.
std::string json_string(const std::string& text);

/// The number as JSON: null for what JSON has no word for (NaN, infinity).
std::string json_number(double value);

}  // namespace vibnet
