#include "math/scratch_gpu.h"

#include <map>
#include <memory>

#include "core/cuda.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

/// One for each device that the thread has used.
using Memories = std::map<int, std::unique_ptr<SyncedMemory>>;

thread_local Memories inner;
thread_local Memories outer;
thread_local Memories sums;
thread_local Memories counters;

std::unique_ptr<SyncedMemory>& of_device(Memories* memories) {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  return (*memories)[device];
}

void* at_least(std::size_t bytes, Memories* memories) {
  if (bytes == 0) return nullptr;
  std::unique_ptr<SyncedMemory>& memory = of_device(memories);
  if (memory == nullptr || memory->bytes() < bytes) {
    memory.reset();
    memory = std::make_unique<SyncedMemory>(bytes);
  }
  return memory->mutable_gpu_data();
}

}  // namespace

void* scratch_gpu(std::size_t bytes) { return at_least(bytes, &inner); }

void* outer_scratch_gpu(std::size_t bytes) { return at_least(bytes, &outer); }
void free_outer_scratch_gpu() { of_device(&outer).reset(); }

void* sums_gpu(std::size_t bytes) { return at_least(bytes, &sums); }

unsigned* counters_gpu() {
  return static_cast<unsigned*>(at_least(kCounters * sizeof(unsigned), &counters));
}

}  // namespace vibnet
