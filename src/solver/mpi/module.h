#pragma once

#include <memory>

#include "vibnet/communicator.h"

namespace vibnet {

/// What the module that links MPI can do.
struct MpiModule {
  /// The ranks of MPI_COMM_WORLD, of which there must be so many. Throws Error.
  std::unique_ptr<Communicator> (*join)(int size);
  bool (*first_has_ended)(const Communicator& ranks);
};

}  // namespace vibnet
