#include "core/recorded_work.h"

#include <glog/logging.h>

#include "core/cuda.h"

namespace vibnet {
namespace {

constexpr int kRunsBefore = 2;
constexpr int kMostFailures = 3;

}  // namespace

RecordedWork::~RecordedWork() {
  if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
}

void RecordedWork::run(const std::vector<std::uint64_t>& what_for,
                       const std::function<void()>& work) {
  if (failures_ == kMostFailures) return work();
  if (runs_++ < kRunsBefore) return uses_.record(work);
  if (is_current_ && what_for == what_for_ && uses_.repeat()) return launch();
  uses_.bring();
  const cudaGraph_t graph = record(work);
  is_current_ = graph != nullptr;
  if (!is_current_) {
    LOG_IF(WARNING, ++failures_ == kMostFailures)
        << "no CUDA graph can be made of a pass, which is slower without: " << why_not_;
    return uses_.record(work);
  }
  failures_ = 0;
  bring_up_to_date(graph);
  cudaGraphDestroy(graph);
  what_for_ = what_for;
  launch();
}

void RecordedWork::launch() {
  check_cuda(cudaGraphLaunch(executable_, cudaStreamPerThread), "cudaGraphLaunch");
}

/// Null where the work cannot be recorded. Nothing of it has been done in either case.
cudaGraph_t RecordedWork::record(const std::function<void()>& work) {
  check_cuda(cudaStreamBeginCapture(cudaStreamPerThread, cudaStreamCaptureModeThreadLocal),
             "cudaStreamBeginCapture");
  bool is_recorded = true;
  try {
    uses_.record(work);
  } catch (const Error& error) {
    is_recorded = false;  // what is wrong in earnest is wrong again when the work is done
    why_not_ = error.what();
  } catch (...) {
    end_recording(false);
    throw;
  }
  return end_recording(is_recorded);
}

cudaGraph_t RecordedWork::end_recording(bool is_recorded) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(cudaStreamPerThread, &graph);
  cudaGetLastError();
  if (is_recorded && status == cudaSuccess) return graph;
  if (is_recorded) why_not_ = cudaGetErrorString(status);
  if (graph != nullptr) cudaGraphDestroy(graph);
  uses_.undo();
  return nullptr;
}

void RecordedWork::bring_up_to_date(cudaGraph_t graph) {
  if (executable_ != nullptr) {
    cudaGraphExecUpdateResultInfo result;
    if (cudaGraphExecUpdate(executable_, graph, &result) == cudaSuccess) return;
    cudaGetLastError();
    cudaGraphExecDestroy(executable_);
    executable_ = nullptr;
  }
  check_cuda(cudaGraphInstantiate(&executable_, graph, 0), "cudaGraphInstantiate");
}

}  // namespace vibnet
