#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/cuda.h"
#include "core/gpu_runtime.h"

namespace vibnet {
namespace {

/// The oldest compute capability of CMAKE_CUDA_ARCHITECTURES.
constexpr int kOldest = 80;

class CudaRuntime : public GpuRuntime {
 public:
  int device_count() override {
    int count = 0;
    return count_devices(&count) == cudaSuccess ? count : 0;
  }

  std::string why_none() override {
    int count = 0;
    const cudaError_t status = count_devices(&count);
    const std::string words =
        cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status);
    const bool lacks_driver =
        status == cudaErrorInsufficientDriver;  // so it is where there is none
    return lacks_driver ? "no NVIDIA driver, or too old a one: " + words : words;
  }

  void use(int index) override {
    const int major = attribute(cudaDevAttrComputeCapabilityMajor, index);
    const int minor = attribute(cudaDevAttrComputeCapabilityMinor, index);
    if (10 * major + minor < kOldest)
      fail("device gpu:", index, ": has compute capability ", major, ".", minor, ", and ",
           kOldest / 10, ".", kOldest % 10, " or newer is needed");
    check_cuda(cudaSetDevice(index), "cudaSetDevice");
  }

  double number_of(int index) override {
    cudaDeviceProp properties;
    check_cuda(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
    std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
    for (const char byte : properties.uuid.bytes)
      hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    return static_cast<double>(hash >> 12);
  }

  void* allocate(std::size_t bytes) override {
    release_the_rest();
    void* pointer = nullptr;
    const cudaError_t status = cudaMalloc(&pointer, std::max<std::size_t>(bytes, 1));
    if (status == cudaErrorMemoryAllocation) fail_out_of_memory(std::to_string(bytes) + " bytes");
    check_cuda(status, "cudaMalloc");
    return pointer;
  }

  void release(void* pointer) override { release({pointer, cudaFree}); }

  void* allocate_pinned(std::size_t bytes) override {
    void* pointer = nullptr;
    if (cudaMallocHost(&pointer, bytes) == cudaSuccess) return pointer;
    cudaGetLastError();
    return nullptr;
  }
  void release_pinned(void* pointer) override { release({pointer, cudaFreeHost}); }

  void fill_zero(void* pointer, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemsetAsync(pointer, 0, bytes, cudaStreamPerThread), "cudaMemset");
  }
  void copy_to_device(void* device, const void* host, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "copy to the device");
    synchronize();  // where memory is not pinned, cudaMemcpy returns before all is there
  }
  void copy_to_host(void* host, const void* device, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "copy to the host");
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cudaStreamPerThread),
               "copy on the device");
  }
  void set_mark(std::shared_ptr<void>* mark) override {
    if (*mark == nullptr) {
      cudaEvent_t event = nullptr;
      check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync),
                 "cudaEventCreate");
      mark->reset(event, [](void* e) { cudaEventDestroy(static_cast<cudaEvent_t>(e)); });
    }
    check_cuda(cudaEventRecord(static_cast<cudaEvent_t>(mark->get()), cudaStreamPerThread),
               "cudaEventRecord");
  }
  void wait_for(const void* mark) override {
    check_cuda(cudaEventSynchronize(static_cast<cudaEvent_t>(const_cast<void*>(mark))),
               "cudaEventSynchronize");
  }
  void synchronize() override {
    check_cuda(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  }

 private:
  struct Memory {
    void* pointer;
    cudaError_t (*free)(void*);
  };

  static int attribute(cudaDeviceAttr attribute, int index) {
    int value = 0;
    check_cuda(cudaDeviceGetAttribute(&value, attribute, index), "cudaDeviceGetAttribute");
    return value;
  }
  static cudaError_t count_devices(int* count) {
    const cudaError_t status = cudaGetDeviceCount(count);
    cudaGetLastError();
    return status;
  }
  /// What CUDA says to calls that it refuses to a thread that records.
  static bool is_refused(cudaError_t status) {
    return status == cudaErrorStreamCaptureUnsupported ||
           status == cudaErrorStreamCaptureInvalidated || status == cudaErrorStreamCaptureImplicit;
  }
  // Any other failure means the process is ending or lost the device: nothing is left to be done.
  void release(const Memory& memory) {
    if (!is_refused(memory.free(memory.pointer))) return;
    cudaGetLastError();
    const std::lock_guard<std::mutex> lock(mutex_);
    unreleased_.push_back(memory);
  }
  void release_the_rest() {
    std::vector<Memory> memories;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      memories.swap(unreleased_);
    }
    for (const Memory& memory : memories) release(memory);
  }

  std::mutex mutex_;
  /// What a thread has tried to release while it was recording.
  std::vector<Memory> unreleased_;
};

CudaRuntime cuda_runtime;
const bool registered = register_gpu_runtime(&cuda_runtime);

}  // namespace
}  // namespace vibnet
