#include "solver/ranks.h"

#include <glog/logging.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include "core/gpu_runtime.h"
#include "data/module.h"
#include "solver/mpi/module.h"
#include "solver/nccl/module.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kModule = "libvibnet_mpi.so";
constexpr const char* kNcclModule = "libvibnet_nccl.so";

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

/// Null in a build without NCCL.
const NcclModule* nccl_module() {
  static const auto* const module =
      static_cast<const NcclModule*>(load_module(kNcclModule, "vibnet_nccl_module"));
  return module;
}

/// Throws Error where some ranks have a GPU and others do not.
void check_devices(Communicator* ranks, const Device& device) {
  double on_gpu = device.type == DeviceType::GPU ? 1 : 0;
  ranks->sum(&on_gpu, 1);
  if (on_gpu != 0 && on_gpu != ranks->size())
    fail("--device: ", on_gpu, " of ", ranks->size(), " ranks are on a GPU; give all the same");
}

/// How many GPUs the ranks have among them.
int count_gpus(Communicator* ranks, const Device& device) {
  std::vector<double> numbers(ranks->size());
  numbers[ranks->rank()] = gpu_runtime()->number_of(device.index);
  ranks->sum(numbers.data(), numbers.size());
  return static_cast<int>(std::set<double>(numbers.begin(), numbers.end()).size());
}

/// Whether one of them cannot load NCCL.
bool lacks_nccl(Communicator* ranks) {
  double lacking = nccl_module() == nullptr ? 1 : 0;
  ranks->sum(&lacking, 1);
  return lacking > 0;
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

Communicator* join_gpus(Communicator* ranks, const Device& device) {
  if (ranks->size() == 1) return ranks;
  check_devices(ranks, device);
  if (device.type == DeviceType::CPU) return ranks;
  const int gpus = count_gpus(ranks, device);
  if (gpus < ranks->size()) {
    LOG(WARNING) << ranks->size() << " ranks share " << gpus
                 << " GPU(s), and sum through the host's memory; one rank for each GPU is faster";
    return ranks;
  }
  if (lacks_nccl(ranks)) {
    LOG(WARNING) << kNcclModule << " cannot be loaded, and " << ranks->size()
                 << " ranks sum through the host's memory; NCCL is faster";
    return ranks;
  }
  static const std::unique_ptr<Communicator> on_gpus = nccl_module()->join(ranks);
  return on_gpus.get();
}

bool first_has_ended(const Communicator& ranks) {
  return ranks.size() > 1 && mpi_module()->first_has_ended(ranks);
}

}  // namespace vibnet
