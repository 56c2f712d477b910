#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "block.h"
#include "stream.h"

namespace emulated_gpu {
namespace {

using Lock = std::lock_guard<std::recursive_mutex>;

constexpr int kDevices = 2;
constexpr std::size_t kMemory = std::size_t{1} << 30;
/// What vibnet asks of memory, and no more, so that what is read behind it is seen.
constexpr std::size_t kAlignment = 16;
/// Of fresh memory, so much at both ends holds NaNs.
constexpr std::size_t kFilled = 1 << 20;

/// Memory with a page behind it that nobody may touch.
struct Memory {
  std::uintptr_t begin;
  void* pages;
  std::size_t page_bytes;
  std::size_t bytes;
  int device;
};

// What is released when the program ends may come after what is destroyed then.
/// By their ends.
std::map<std::uintptr_t, Memory>& memories = *new std::map<std::uintptr_t, Memory>;
std::map<void*, std::size_t>& pinned = *new std::map<void*, std::size_t>;
std::size_t used[kDevices];
thread_local int current = 0;

std::uintptr_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

/// Null outside of all.
const Memory* memory_of(const void* pointer) {
  const auto found = memories.upper_bound(address(pointer));
  if (found == memories.end() || address(pointer) < found->second.begin) return nullptr;
  return &found->second;
}

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

bool is_on_device(const void* pointer, std::size_t bytes) {
  const Lock lock(device_mutex());
  const Memory* memory = memory_of(pointer);
  if (memory == nullptr) return false;
  if (memory->device != current) fault("another device's memory");
  return address(pointer) + bytes <= memory->begin + memory->bytes;
}

bool is_pinned(const void* pointer) {
  const Lock lock(device_mutex());
  const auto behind = pinned.upper_bound(const_cast<void*>(pointer));
  if (behind == pinned.begin()) return false;
  const auto& [begin, bytes] = *std::prev(behind);
  return address(pointer) < address(begin) + bytes;
}

cudaError_t allocate(void** pointer, std::size_t bytes) {
  const Lock lock(device_mutex());
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  bytes = round_up(bytes, kAlignment);
  if (bytes > kMemory - used[current]) return keep(cudaErrorMemoryAllocation);
  const std::size_t page = sysconf(_SC_PAGESIZE);
  const std::size_t page_bytes = round_up(bytes, page) + page;
  void* pages = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return keep(cudaErrorMemoryAllocation);
  char* end = static_cast<char*>(pages) + page_bytes - page;
  mprotect(end, page, PROT_NONE);
  *pointer = end - bytes;
  const std::size_t filled = std::min(bytes, kFilled);
  std::memset(*pointer, 0xff, filled);
  std::memset(end - filled, 0xff, filled);
  memories[address(end)] = {address(*pointer), pages, page_bytes, bytes, current};
  used[current] += bytes;
  return cudaSuccess;
}

cudaError_t allocate_pinned(void** pointer, std::size_t bytes) {
  const Lock lock(device_mutex());
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  *pointer = std::malloc(bytes);
  pinned[*pointer] = bytes;
  return cudaSuccess;
}

}  // namespace emulated_gpu

using namespace emulated_gpu;

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    default:
      break;
  }
  thread_local std::string text;
  text = "CUDA's error " + std::to_string(status);
  return text.c_str();
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = kDevices;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= kDevices) return keep(cudaErrorInvalidDevice);
  current = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= kDevices) return keep(cudaErrorInvalidDevice);
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= kDevices) return keep(cudaErrorInvalidDevice);
  *properties = {};
  properties->uuid.bytes[0] = static_cast<char>(device + 1);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Lock lock(device_mutex());
  *total = kMemory;
  *free = kMemory - used[current];
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  const Lock lock(device_mutex());
  if (pointer == nullptr) return cudaSuccess;
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  finish_all();
  const Memory* memory = memory_of(pointer);
  if (memory == nullptr || memory->begin != address(pointer))
    fault("cudaFree of what cudaMalloc has not given");
  used[memory->device] -= memory->bytes;
  munmap(memory->pages, memory->page_bytes);
  memories.erase(memory->begin + memory->bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* pointer) {
  const Lock lock(device_mutex());
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  finish_all();
  if (pinned.erase(pointer) == 0) fault("cudaFreeHost of what cudaMallocHost has not given");
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* pointer, int byte, std::size_t bytes, cudaStream_t stream) {
  if (!is_on_device(pointer, bytes)) return keep(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::memset(pointer, byte, bytes); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool reads_device = kind != cudaMemcpyHostToDevice;
  const bool writes_device = kind != cudaMemcpyDeviceToHost;
  if (is_on_device(from, bytes) != reads_device || is_on_device(to, bytes) != writes_device)
    return keep(cudaErrorInvalidValue);
  if (!reads_device && !is_pinned(from)) {  // it is read at once, and written later
    if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
    const auto* begin = static_cast<const char*>(from);
    return enqueue(stream, [to, values = std::vector<char>(begin, begin + bytes)] {
      std::memcpy(to, values.data(), values.size());
    });
  }
  const cudaError_t status = enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  if (writes_device || is_pinned(to) || status != cudaSuccess) return status;
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (refuses_to_wait()) return keep(cudaErrorStreamCaptureUnsupported);
  const cudaError_t status = cudaMemcpyAsync(to, from, bytes, kind, cudaStreamPerThread);
  if (status != cudaSuccess || (kind == cudaMemcpyHostToDevice && !is_pinned(from))) return status;
  return cudaStreamSynchronize(cudaStreamPerThread);
}
