#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace vibnet {

class SyncedMemory;

/// The memories that some work asks for on the GPU, by which it can be done again without what the
/// host did for it.
class MemoryUses {
 public:
  /// Does the work, and remembers what this thread asks for meanwhile.
  void record(const std::function<void()>& work);
  /// Asks for the same again, as far as who holds the values can tell. Returns false, and does
  /// nothing, where the work has to be recorded anew: where GPU memory has come or gone since, a
  /// memory was cleared that was not then, or the work asked for anything on the host.
  bool repeat() const;
  /// Has on the GPU what the work will ask for again, as far as that is known: a CUDA graph copies
  /// nothing there.
  void bring() const;
  /// For work that was recorded and will not be done: what was clear before it is so again.
  void undo();

  /// What SyncedMemory tells whoever records in this thread.
  static void note_gpu(SyncedMemory* memory, const void* place, bool was_clear, bool writes);
  static void note_cpu();
  /// What it tells everyone.
  static void note_allocation();
  static void note_release(const void* place);

 private:
  struct Use {
    SyncedMemory* memory;
    const void* place;
    bool writes;
    bool was_clear;
  };

  std::vector<Use> uses_;
  std::uint64_t changes_ = 0;
  bool is_on_gpu_alone_ = false;
};

}  // namespace vibnet
