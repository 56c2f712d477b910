#pragma once

#include <string>
#include <string_view>

#include "vibnet.pb.h"

namespace vibnet {

/// Reads a database record. Throws Error, `where` first, for what is no Datum, or one whose values
/// do not fill channels x height x width; a picture is decoded (the force_* fields of the
/// transformation decide its channels).
Datum read_datum(std::string_view bytes, const TransformationParameter& transform,
                 const std::string& where);

}  // namespace vibnet
