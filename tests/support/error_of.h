#pragma once

#include <string>

#include "vibnet/error.h"

namespace vibnet {

/// The message of the Error that the call throws; empty if it throws none.
template <typename Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace vibnet
