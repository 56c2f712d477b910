#pragma once

#include <vector>

#include "solver/compressed_cost.h"
#include "vibnet.pb.h"

namespace vibnet {

/// Per gate: what one unit costs in the net as it is now, over the mean of all living units. The
/// cost of a unit is the net's cost less that of the net with one living unit fewer, the one that
/// carries least; where only one lives, that of the net with one more less the net's. 1 for a gate
/// of one unit, and for all where units cost nothing.
std::vector<double> cost_factors(UnitPlanner* planner, SolverParameter::KLCost kind);

}  // namespace vibnet
