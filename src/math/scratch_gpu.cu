#include "math/scratch_gpu.h"

#include <memory>

#include "vibnet/synced_memory.h"

namespace vibnet {

void* scratch_gpu(std::size_t bytes) {
  thread_local std::unique_ptr<SyncedMemory> memory;
  if (bytes == 0) return nullptr;
  if (memory == nullptr || memory->bytes() < bytes) {
    memory.reset();
    memory = std::make_unique<SyncedMemory>(bytes);
  }
  return memory->mutable_gpu_data();
}

}  // namespace vibnet
