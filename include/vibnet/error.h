#pragma once

#include <sstream>
#include <stdexcept>

namespace vibnet {

/// What a user can cause and mend: a bad file, a wrong field, a shape that does not fit.
/// The message is one line that names the file, line or layer and says what would be right.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Joins the parts as operator<< prints them and throws the result as one Error.
template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

}  // namespace vibnet
