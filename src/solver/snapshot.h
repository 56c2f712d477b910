#pragma once

#include <string>

#include "vibnet.pb.h"

namespace vibnet {

/// Where snapshots go, by Caffe's rule: what the parameter says; with nothing said, the solver's
/// file without its extension; for a folder, that name in it.
std::string snapshot_prefix(const SolverParameter& parameter, const std::string& solver);

}  // namespace vibnet
