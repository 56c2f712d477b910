#include "stream.h"

#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "block.h"

using Work = std::function<void()>;
using Works = std::vector<Work>;

/// A place in a stream's work.
struct Mark {
  std::shared_ptr<EmulatedStream> stream;
  bool is_passed = false;
  /// Recorded into a graph: nothing outside can wait for it.
  bool is_captured = false;
};

struct EmulatedStream {
  std::deque<Work> work;
  bool is_recording = false;
  bool is_spoilt = false;
  Works recorded;
};

struct EmulatedEvent {
  std::shared_ptr<Mark> mark;
};

struct EmulatedGraph {
  Works work;
};

struct EmulatedGraphExec {
  std::shared_ptr<const Works> work;
};

namespace emulated_gpu {
namespace {

/// As many as a real queue holds, before the host has to wait.
constexpr std::size_t kMostInStream = 1024;

using Lock = std::lock_guard<std::recursive_mutex>;
using Streams = std::set<std::shared_ptr<EmulatedStream>>;

thread_local cudaError_t last_error = cudaSuccess;

Streams& streams() {
  static auto* const all = new Streams;
  return *all;
}

/// The work may wait for this stream itself, so it is taken out first.
void do_first(EmulatedStream* stream) {
  const Work work = std::move(stream->work.front());
  stream->work.pop_front();
  work();
}

void work_off(EmulatedStream* stream) {
  while (!stream->work.empty()) do_first(stream);
}

void work_to(const Mark& mark) {
  while (!mark.is_passed && !mark.stream->work.empty()) do_first(mark.stream.get());
}

std::shared_ptr<EmulatedStream> new_stream() {
  const Lock lock(device_mutex());
  return *streams().insert(std::make_shared<EmulatedStream>()).first;
}

/// The calling thread's, whose work is done at the latest when the thread ends.
struct OwnStream {
  std::shared_ptr<EmulatedStream> stream = new_stream();
  ~OwnStream() {
    const Lock lock(device_mutex());
    work_off(stream.get());
    streams().erase(stream);
  }
};

const std::shared_ptr<EmulatedStream>& own_stream() {
  thread_local OwnStream own;
  return own.stream;
}

std::shared_ptr<EmulatedStream> find(cudaStream_t stream) {
  if (stream == cudaStreamPerThread) return own_stream();
  for (const auto& known : streams())
    if (known.get() == stream) return known;
  fault("a stream that is not there");
}

/// Blocks in order or backwards, in turns.
void run_kernel(const dim3& grid, const dim3& block, const std::function<void()>& thread) {
  static bool is_backward = false;
  is_backward = !is_backward;
  gridDim = grid;
  blockDim = block;
  const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
  for (unsigned i = 0; i < blocks; ++i) {
    const unsigned b = is_backward ? blocks - 1 - i : i;
    blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
    run_block(thread, is_backward != (b % 2 == 1));
  }
}

}  // namespace

std::recursive_mutex& device_mutex() {
  static auto* const mutex = new std::recursive_mutex;
  return *mutex;
}

cudaError_t keep(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  const Lock lock(device_mutex());
  const auto to = find(stream);
  if (to->is_recording) {
    if (to->is_spoilt) return keep(cudaErrorStreamCaptureInvalidated);
    to->recorded.push_back(std::move(work));
    return cudaSuccess;
  }
  if (to->work.size() == kMostInStream) work_off(to.get());
  to->work.push_back(std::move(work));
  return cudaSuccess;
}

bool refuses_to_wait() {
  EmulatedStream& own = *own_stream();
  if (own.is_recording) own.is_spoilt = true;
  return own.is_recording;
}

void finish(cudaStream_t stream) {
  const Lock lock(device_mutex());
  work_off(find(stream).get());
}

void finish_all() {
  const Lock lock(device_mutex());
  const Streams all = streams();
  for (const auto& stream : all) work_off(stream.get());
}

void launch_threads(const dim3& grid, const dim3& block, std::function<void()> thread) {
  const auto is_size = [](const dim3& size, unsigned most_x, unsigned most) {
    return size.x > 0 && size.x <= most_x && size.y > 0 && size.y <= most && size.z > 0 &&
           size.z <= most;
  };
  if (1ull * block.x * block.y * block.z > 1024 || !is_size(block, 1024, 1024) || block.z > 64 ||
      !is_size(grid, 0x7fffffff, 65535)) {
    keep(cudaErrorInvalidConfiguration);
    return;
  }
  enqueue(cudaStreamPerThread,
          [grid, block, thread = std::move(thread)] { run_kernel(grid, block, thread); });
}

}  // namespace emulated_gpu

using namespace emulated_gpu;

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = new_stream().get();
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  finish(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  const Lock lock(device_mutex());
  const std::shared_ptr<Mark> mark = event->mark;
  if (mark == nullptr) return cudaSuccess;
  if (mark->is_captured) fault("to join streams in a recording is not emulated");
  return enqueue(stream, [mark] { work_to(*mark); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  const Lock lock(device_mutex());
  EmulatedStream& from = *find(stream);
  if (from.is_recording) return keep(cudaErrorStreamCaptureUnsupported);
  from.is_recording = true;
  from.is_spoilt = false;
  from.recorded.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(device_mutex());
  EmulatedStream& from = *find(stream);
  from.is_recording = false;
  *graph = nullptr;
  if (from.is_spoilt) return keep(cudaErrorStreamCaptureInvalidated);
  *graph = new EmulatedGraph{std::move(from.recorded)};
  from.recorded.clear();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(device_mutex());
  const auto mark = std::make_shared<Mark>();
  mark->stream = find(stream);
  mark->is_captured = mark->stream->is_recording;
  event->mark = mark;
  return enqueue(stream, [mark] { mark->is_passed = true; });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(device_mutex());
  const std::shared_ptr<Mark> mark = event->mark;
  if (mark == nullptr) return cudaSuccess;
  if (mark->is_captured) return keep(cudaErrorCapturedEvent);
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  work_to(*mark);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long /*flags*/) {
  *executable = new EmulatedGraphExec{std::make_shared<const Works>(graph->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* /*result*/) {
  static bool is_refused = false;  // in turns, so that both are lived with
  is_refused = !is_refused;
  if (is_refused || executable->work->size() != graph->work.size())
    return keep(cudaErrorGraphExecUpdateFailure);
  executable->work = std::make_shared<const Works>(graph->work);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return enqueue(stream, [all = executable->work] {
    for (const Work& work : *all) work();
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
