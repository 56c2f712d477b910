#pragma once

#include <cstddef>

#include "vibnet/communicator.h"

namespace vibnet {

/// Replaces values on the GPU in use by their sums over the ranks: by work of this thread's stream
/// where they can, else through the host's memory.
void sum_on_gpu(Communicator* ranks, double* values, std::size_t count);

}  // namespace vibnet
