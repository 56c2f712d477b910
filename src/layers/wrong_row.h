#pragma once

// For .cu files only.

#include <climits>

#include "vibnet/synced_memory.h"

namespace vibnet {

/// The first row in which a kernel has met a label or index that cannot be. It stays on the device
/// until take() asks, so that nobody waits for it before.
class WrongRow {
 public:
  /// For note_wrong().
  int* on_gpu() { return static_cast<int*>(memory_.mutable_gpu_data()); }

  /// -1 for none; forgets it.
  int take() {
    const int noted = *static_cast<const int*>(memory_.cpu_data());
    if (noted == 0) return -1;
    *static_cast<int*>(memory_.mutable_cpu_data()) = 0;
    return INT_MAX - noted;
  }

 private:
  /// INT_MAX less the row; 0 for none.
  SyncedMemory memory_{sizeof(int)};
};

__device__ inline void note_wrong(int row, int* wrong) { atomicMax(wrong, INT_MAX - row); }

/// indices[row], or -1, and a note, where it is not below `bound`.
__device__ inline int read_index(const float* indices, int row, int bound, int* wrong) {
  const float index = indices[row];
  if (index >= 0 && index < static_cast<float>(bound)) return static_cast<int>(index);
  note_wrong(row, wrong);
  return -1;
}

}  // namespace vibnet
