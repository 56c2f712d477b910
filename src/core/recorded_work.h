#pragma once

// For CUDA sources only.

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/memory_uses.h"

namespace vibnet {

/// Work that is given to this thread's stream again and again, as one CUDA graph each time.
class RecordedWork {
 public:
  RecordedWork() = default;
  RecordedWork(const RecordedWork&) = delete;
  RecordedWork& operator=(const RecordedWork&) = delete;
  ~RecordedWork();

  /// Does the work. The first times it is not recorded, for it takes its memory then; and no more
  /// once it has waited for the device too often, which cannot be recorded and is warned of. While
  /// it is for the same, and works on the same memory, it is not called again: the graph does all
  /// of it. `what_for`: all that its launches hang on, but memory.
  void run(const std::vector<std::uint64_t>& what_for, const std::function<void()>& work);

 private:
  cudaGraph_t record(const std::function<void()>& work);
  cudaGraph_t end_recording(bool is_recorded);
  void bring_up_to_date(cudaGraph_t graph);
  void launch();

  cudaGraphExec_t executable_ = nullptr;
  /// Whether it is of the work that was done last.
  bool is_current_ = false;
  std::vector<std::uint64_t> what_for_;
  MemoryUses uses_;
  int runs_ = 0;
  int failures_ = 0;
  std::string why_not_;
};

}  // namespace vibnet
