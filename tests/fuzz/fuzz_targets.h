#pragma once

#include <map>
#include <string>

namespace vibnet {

/// Reads the bytes as one kind of file and uses what comes out, as the tools do. An Error is how a
/// bad file is refused, and is swallowed; whatever else happens is a finding.
using FuzzTarget = void (*)(const std::string& bytes);

/// By name: prototxt, solver, caffemodel, datum, idx and cifar.
const std::map<std::string, FuzzTarget>& fuzz_targets();

}  // namespace vibnet
