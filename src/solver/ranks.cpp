#include "solver/ranks.h"

#include <cstdlib>
#include <memory>

#include "data/module.h"
#include "solver/mpi/module.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kModule = "libvibnet_mpi.so";

/// What Open MPI's mpirun, or another's, tells the processes that it starts.
int started_ranks() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* size = std::getenv(variable)) return std::atoi(size);
  return 1;
}

/// Null in a build without MPI.
const MpiModule* mpi_module() {
  static const auto* const module =
      static_cast<const MpiModule*>(load_module(kModule, "vibnet_mpi_module"));
  return module;
}

}  // namespace

Communicator* join_ranks() {
  const int size = started_ranks();
  if (size <= 1) return &one_rank();
  if (mpi_module() == nullptr)
    fail("mpirun has started ", size, " ranks, and ", kModule,
         " cannot be loaded: build vibnet with -DWITH_MPI=ON");
  static const std::unique_ptr<Communicator> ranks = mpi_module()->join(size);
  return ranks.get();
}

bool first_has_ended(const Communicator& ranks) {
  return ranks.size() > 1 && mpi_module()->first_has_ended(ranks);
}

}  // namespace vibnet
