#pragma once

#include "vibnet/communicator.h"

namespace vibnet {

/// The ranks that mpirun has started this process as one of; one_rank() where it was started alone.
/// Loads MPI only for several. Throws Error where that cannot be done.
Communicator* join_ranks();

/// Whether the process of the first of the ranks joined is known to have ended.
bool first_has_ended(const Communicator& ranks);

}  // namespace vibnet
