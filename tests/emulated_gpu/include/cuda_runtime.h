#pragma once

// What vibnet uses of CUDA, done by the CPU: see README.md here. The names and what they do are
// those of CUDA's runtime and C++ language extensions.

#include <math.h>
#include <string.h>

#include <cstddef>
#include <functional>
#include <tuple>

#define __host__
#define __device__
#define __global__
#define __grid_constant__
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureImplicit = 906,
  cudaErrorCapturedEvent = 907,
  cudaErrorGraphExecUpdateFailure = 910,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
enum cudaDeviceAttr {
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventBlockingSync = 1;
constexpr unsigned cudaEventDisableTiming = 2;

struct cudaUUID_t {
  char bytes[16];
};
struct cudaDeviceProp {
  cudaUUID_t uuid;
};
struct cudaGraphExecUpdateResultInfo {};

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaGraph_t = struct EmulatedGraph*;
using cudaGraphExec_t = struct EmulatedGraphExec*;
#define cudaStreamPerThread (reinterpret_cast<cudaStream_t>(0x2))

extern "C" {
cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaFree(void*);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t, cudaMemcpyKind);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void*, int byte, std::size_t, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned);
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long);
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t, cudaGraph_t, cudaGraphExecUpdateResultInfo*);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);
}

namespace emulated_gpu {

cudaError_t allocate(void**, std::size_t);
cudaError_t allocate_pinned(void**, std::size_t);

/// Gives the calling thread's stream a kernel; `thread` is what each of its threads does.
void launch_threads(const dim3& grid, const dim3& block, std::function<void()> thread);

/// What `kernel<<<grid, block>>>(arguments...)` becomes.
template <typename Kernel, typename... Arguments>
void launch(const dim3& grid, const dim3& block, Kernel kernel, Arguments... arguments) {
  launch_threads(grid, block,
                 [kernel, all = std::make_tuple(arguments...)] { std::apply(kernel, all); });
}

void wait_for_block();
unsigned lane();

/// What a block finds in shared memory is anything: the first of its threads to come by writes it.
void begin_shared(void* memory, std::size_t bytes);

using Word = unsigned long long;
/// What the lane `from` of the mask brings; all of them call it.
Word exchange_in_warp(unsigned mask, Word word, unsigned from);

template <typename Value>
Value shuffle(unsigned mask, const Value& value, unsigned from) {
  static_assert(sizeof(Value) <= sizeof(Word), "");
  Word word = 0;
  memcpy(&word, &value, sizeof(Value));
  word = exchange_in_warp(mask, word, from < 32 ? from : lane());
  Value other;
  memcpy(&other, &word, sizeof(Value));
  return other;
}

}  // namespace emulated_gpu

template <typename Value>
cudaError_t cudaMalloc(Value** pointer, std::size_t bytes) {
  return emulated_gpu::allocate(reinterpret_cast<void**>(pointer), bytes);
}
template <typename Value>
cudaError_t cudaMallocHost(Value** pointer, std::size_t bytes) {
  return emulated_gpu::allocate_pinned(reinterpret_cast<void**>(pointer), bytes);
}

/// Of the thread of a kernel that runs.
extern dim3 gridDim, blockDim;
extern uint3 blockIdx, threadIdx;

inline void __syncthreads() { emulated_gpu::wait_for_block(); }
inline void __threadfence() {}

template <typename Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned distance) {
  return emulated_gpu::shuffle(mask, value, emulated_gpu::lane() + distance);
}
template <typename Value>
Value __shfl_xor_sync(unsigned mask, Value value, unsigned bits) {
  return emulated_gpu::shuffle(mask, value, emulated_gpu::lane() ^ bits);
}

// One thread works at a time; that these are atomic is for those who look for races.
inline unsigned atomicInc(unsigned* counter, unsigned last) {
  const unsigned before = __atomic_load_n(counter, __ATOMIC_RELAXED);
  __atomic_store_n(counter, before >= last ? 0 : before + 1, __ATOMIC_RELAXED);
  return before;
}
inline int atomicMax(int* value, int other) {
  const int before = __atomic_load_n(value, __ATOMIC_RELAXED);
  if (other > before) __atomic_store_n(value, other, __ATOMIC_RELAXED);
  return before;
}

constexpr int min(int a, int b) { return b < a ? b : a; }
constexpr int max(int a, int b) { return a < b ? b : a; }
