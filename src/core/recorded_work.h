#pragma once

// For CUDA sources only.

#include <cuda_runtime.h>

#include <functional>

namespace vibnet {

/// Work that is given to this thread's stream again and again, as one CUDA graph each time: it is
/// recorded anew, so that its arguments may change, and the graph of the time before is brought up
/// to date, or made anew where the work is another.
class RecordedWork {
 public:
  RecordedWork() = default;
  RecordedWork(const RecordedWork&) = delete;
  RecordedWork& operator=(const RecordedWork&) = delete;
  ~RecordedWork();

  /// Does the work. The first times it is not recorded, for it takes its memory then; and no more
  /// once it has waited for the device too often, which cannot be recorded.
  void run(const std::function<void()>& work);

 private:
  cudaGraph_t record(const std::function<void()>& work);
  void bring_up_to_date(cudaGraph_t graph);

  cudaGraphExec_t executable_ = nullptr;
  int runs_ = 0;
  int failures_ = 0;
};

}  // namespace vibnet
