#include "math/scratch_gpu.h"

#include <memory>

#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

using Memory = std::unique_ptr<SyncedMemory>;

thread_local Memory inner;
thread_local Memory outer;
thread_local Memory counters;

void* at_least(std::size_t bytes, Memory* memory) {
  if (bytes == 0) return nullptr;
  if (*memory == nullptr || (*memory)->bytes() < bytes) {
    memory->reset();
    *memory = std::make_unique<SyncedMemory>(bytes);
  }
  return (*memory)->mutable_gpu_data();
}

}  // namespace

void* scratch_gpu(std::size_t bytes) { return at_least(bytes, &inner); }

void* outer_scratch_gpu(std::size_t bytes) { return at_least(bytes, &outer); }
void free_outer_scratch_gpu() { outer.reset(); }

unsigned* counters_gpu() {
  return static_cast<unsigned*>(at_least(kCounters * sizeof(unsigned), &counters));
}

}  // namespace vibnet
