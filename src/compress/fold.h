#pragma once

#include <set>
#include <string>
#include <vector>

#include "compress/graph.h"

namespace vibnet {

/// Takes the named Scale layers out by putting their factors into the weights before or behind
/// them, wherever that is exact. Returns those that had to stay.
std::vector<std::string> fold_scales(const std::set<std::string>& names, Graph* graph);

/// The same for every BatchNorm, as it is in TEST, and every Scale with a value for each channel. A
/// BatchNorm that has to stay becomes a Scale.
void fold_batchnorm(Graph* graph);

}  // namespace vibnet
