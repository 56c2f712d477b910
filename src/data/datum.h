#pragma once

#include <string>

#include "data/lmdb.h"
#include "vibnet.pb.h"

namespace vibnet {

/// Reads a record of the database at `path`, reusing the datum's memory. Throws Error, naming path
/// and key, for what is no Datum, or one whose values do not fill channels x height x width; a
/// picture is decoded (the force_* fields of the transformation decide its channels).
void read_datum(const Record& record, const TransformationParameter& transform,
                const std::string& path, Datum* datum);

/// The same for a datum that is read already; `where` names it in an Error.
void complete_datum(const TransformationParameter& transform, const std::string& where,
                    Datum* datum);

/// "PATH: record 'KEY'", to name a record in an Error.
std::string name_of(const Record& record, const std::string& path);

}  // namespace vibnet
