#pragma once

#include <string>

#include "solver/compressed_cost.h"
#include "vibnet.pb.h"
#include "vibnet/communicator.h"
#include "vibnet/solver.h"

namespace vibnet {

/// What a net shall come to: one of a TargetParameter's fields.
enum class TargetKind { FLOPS, WEIGHTS, ACTIVATION_MEMORY, LATENCY };

struct Target {
  TargetKind kind = TargetKind::FLOPS;
  /// A share of the dense net's, or milliseconds.
  double value = 1;
};

/// Throws Error unless just one field is set, to a share in (0, 1] or to a time above 0.
Target read_target(const TargetParameter& parameter);
/// The field's name.
std::string name_of(TargetKind kind);

/// What a net costs as shares of what `dense` does; no time.
TrainingCost shares_of(const NetCost& cost, const NetCost& dense);
/// The part of a cost that is about the target.
double value_of(TargetKind kind, const TrainingCost& cost);

/// What the target is about: a share of `dense`, or the milliseconds of one forward pass of batch 1
/// on the CPU. `deploy` is the compressed net's deployment form; 0 for an empty one. The first of
/// the ranks takes the time, for all.
double measure(TargetKind kind, const NetCost& dense, const NetParameter& deploy,
               Communicator* ranks);

/// Throws Error where even the least that find_units() can come to is above the target.
void check_target(const Target& target, const NetCost& dense, UnitPlanner* planner,
                  Communicator* ranks = &one_rank());

/// The units of a net with weights that come to the target; see find_units(). Throws Error where
/// none make a net.
FoundUnits find_units(const Target& target, const NetCost& dense, UnitPlanner* planner,
                      Communicator* ranks = &one_rank());
/// Whether the units come to the target, or are all that there are and cost less.
bool is_met(const Target& target, const FoundUnits& found);
/// Whether their time is far off the target, as it is where a machine does too much else.
bool is_mistimed(const Target& target, const FoundUnits& found);
/// Logs why, where the units miss the target; throws Error where they are mistimed.
void tell_of_miss(const Target& target, const FoundUnits& found);

}  // namespace vibnet
