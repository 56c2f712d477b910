#include "core/memory_uses.h"

#include <algorithm>
#include <atomic>

#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

thread_local MemoryUses* recording = nullptr;

std::atomic<std::uint64_t> changes{0};

}  // namespace

void MemoryUses::record(const std::function<void()>& work) {
  uses_.clear();
  is_on_gpu_alone_ = true;
  recording = this;
  try {
    work();
  } catch (...) {
    recording = nullptr;
    is_on_gpu_alone_ = false;
    throw;
  }
  recording = nullptr;
  changes_ = changes;
}

bool MemoryUses::repeat() const {
  if (!is_on_gpu_alone_ || changes_ != changes) return false;
  const bool is_as_then = std::all_of(uses_.begin(), uses_.end(), [](const Use& use) {
    return use.memory->is_clear() == use.was_clear;
  });
  if (!is_as_then) return false;
  for (const Use& use : uses_) use.writes ? use.memory->mutable_gpu_data() : use.memory->gpu_data();
  return true;
}

void MemoryUses::bring() const {
  if (changes_ != changes) return;
  for (const Use& use : uses_)
    if (!use.memory->is_clear()) use.memory->gpu_data();
}

void MemoryUses::undo() {
  is_on_gpu_alone_ = false;
  for (const Use& use : uses_)
    if (use.was_clear) use.memory->clear();
}

void MemoryUses::note_gpu(SyncedMemory* memory, const void* place, bool was_clear, bool writes) {
  if (recording == nullptr) return;
  auto& uses = recording->uses_;
  const auto use =
      std::find_if(uses.begin(), uses.end(), [=](const Use& one) { return one.memory == memory; });
  if (use == uses.end()) return uses.push_back({memory, place, writes, was_clear});
  if (!writes) return;
  use->writes = true;
  std::rotate(use, use + 1, uses.end());  // by their last writes, as stamps are
}

void MemoryUses::note_cpu() {
  if (recording != nullptr) recording->is_on_gpu_alone_ = false;
}

void MemoryUses::note_allocation() { ++changes; }

/// Whose memory it was may be no more.
void MemoryUses::note_release(const void* place) {
  ++changes;
  if (recording == nullptr) return;
  auto& uses = recording->uses_;
  uses.erase(
      std::remove_if(uses.begin(), uses.end(), [=](const Use& use) { return use.place == place; }),
      uses.end());
}

}  // namespace vibnet
