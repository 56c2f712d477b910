#include <nccl.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "block.h"
#include "stream.h"

namespace {

constexpr int kMostRanks = 16;
constexpr std::size_t kPart = 64 << 10;

/// What the processes share: a file of zeros at first.
struct Shared {
  std::atomic<int> joined;
  std::atomic<int> arrived;
  std::atomic<unsigned> round;
  /// Of the sum at hand, which must be the same in all ranks.
  std::atomic<std::size_t> count;
  alignas(64) char parts[kMostRanks][kPart];
};

}  // namespace

/// Ranks of one machine.
struct EmulatedComm {
  Shared* shared;
  int ranks;
  int rank;
  std::atomic<bool> is_aborted{false};
  /// Whether a call is still going on, as far as the caller has been told.
  bool is_busy = true;

  /// Waits for all ranks; false once the sums are given up.
  bool meet() {
    if (is_aborted) return false;
    const unsigned round = shared->round;
    if (++shared->arrived == ranks) {
      shared->arrived = 0;
      ++shared->round;
      return true;
    }
    while (shared->round == round) {
      if (is_aborted) return false;
      sched_yield();
    }
    return true;
  }

  template <typename Value>
  void sum(const Value* from, Value* to, std::size_t count) {
    if (rank == 0) shared->count = count;
    if (!meet()) return;
    if (shared->count != count) emulated_gpu::fault("ranks sum different numbers of values");
    if (!meet()) return;
    constexpr std::size_t kMost = kPart / sizeof(Value);
    for (std::size_t begin = 0; begin < count; begin += kMost) {
      const std::size_t values = std::min(kMost, count - begin);
      std::memcpy(shared->parts[rank], from + begin, values * sizeof(Value));
      if (!meet()) return;
      for (std::size_t i = 0; i < values; ++i) {
        Value all = 0;
        for (int r = 0; r < ranks; ++r) all += reinterpret_cast<const Value*>(shared->parts[r])[i];
        to[begin + i] = all;
      }
      if (!meet()) return;
    }
  }
};

const char* ncclGetErrorString(ncclResult_t) { return "a failure of the emulated NCCL"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::snprintf(id->internal, sizeof(id->internal), "/emulated_nccl_%u", std::random_device()());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (ranks > kMostRanks) return ncclInvalidUsage;
  const int file = shm_open(id.internal, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Shared)) != 0) return ncclSystemError;
  void* shared = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (shared == MAP_FAILED) return ncclSystemError;
  *comm = new EmulatedComm{static_cast<Shared*>(shared), ranks, rank};
  if (++(*comm)->shared->joined == ranks) shm_unlink(id.internal);
  if (config->blocking != 0) return ncclInvalidUsage;
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* status) {
  const bool is_busy = comm->shared->joined < comm->ranks || comm->is_busy;
  comm->is_busy = false;
  *status = is_busy ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t) {
  emulated_gpu::finish_all();
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  munmap(comm->shared, sizeof(Shared));
  delete comm;
  return ncclSuccess;
}

/// Work that waits for other ranks ends; it may still look at the ranks' memory, so that stays.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->is_aborted = true;
  return ncclSuccess;
}

namespace {

/// Whether a sum is at work as early as it may, when the call is made, and not as late.
bool sums_early() {
  static const bool is_asked = std::getenv("EMULATED_NCCL_IS_EARLY") != nullptr;
  return is_asked;
}

}  // namespace

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  const cudaError_t status = emulated_gpu::enqueue(stream, [=] {
    if (type == ncclDouble)
      comm->sum(static_cast<const double*>(from), static_cast<double*>(to), count);
    else
      comm->sum(static_cast<const float*>(from), static_cast<float*>(to), count);
  });
  if (status != cudaSuccess) return ncclSystemError;
  if (sums_early()) emulated_gpu::finish(stream);
  comm->is_busy = true;
  return ncclInProgress;
}
