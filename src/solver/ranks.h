#pragma once

#include "vibnet/communicator.h"
#include "vibnet/device.h"

namespace vibnet {

/// The ranks that mpirun has started this process as one of; one_rank() where it was started alone.
/// Loads MPI only for several. Throws Error where that cannot be done.
Communicator* join_ranks();

/// The same ranks where this one's device is a GPU, which each makes current before: with NCCL
/// where each has a GPU of its own. Else what they sum goes through the host's memory, and the
/// first says so. Throws Error.
Communicator* join_gpus(Communicator* ranks, const Device& device);

/// Whether the process of the first of the ranks joined is known to have ended.
bool first_has_ended(const Communicator& ranks);

}  // namespace vibnet
