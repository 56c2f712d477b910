#include "math/scratch.h"

#include <memory>

#include "vibnet/synced_memory.h"

namespace vibnet {

float* scratch(std::size_t floats) {
  static thread_local std::unique_ptr<SyncedMemory> memory;
  static thread_local std::size_t capacity = 0;
  static thread_local float* values = nullptr;
  if (floats > capacity) {
    memory.reset();  // the old is gone before the new is there
    memory = std::make_unique<SyncedMemory>(floats * sizeof(float));
    values = static_cast<float*>(memory->mutable_cpu_data());
    capacity = floats;
  }
  return values;
}

}  // namespace vibnet
