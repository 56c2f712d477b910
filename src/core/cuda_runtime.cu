#include "core/cuda.h"
#include "core/gpu_runtime.h"

namespace vibnet {
namespace {

class CudaRuntime : public GpuRuntime {
 public:
  int device_count() override {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
  }

  void use(int index) override { check_cuda(cudaSetDevice(index), "cudaSetDevice"); }

  void* allocate(std::size_t bytes) override {
    void* pointer = nullptr;
    const cudaError_t status = cudaMalloc(&pointer, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      std::size_t free = 0;
      std::size_t total = 0;
      cudaMemGetInfo(&free, &total);
      fail("the GPU is out of memory: ", bytes, " bytes were asked for and ", free, " of ", total,
           " are free; use a smaller batch_size");
    }
    check_cuda(status, "cudaMalloc");
    return pointer;
  }

  // A failure here means the process is ending or lost the device: nothing is left to be done.
  void release(void* pointer) override { cudaFree(pointer); }

  void fill_zero(void* pointer, std::size_t bytes) override {
    check_cuda(cudaMemset(pointer, 0, bytes), "cudaMemset");
  }
  void copy_to_device(void* device, const void* host, std::size_t bytes) override {
    check_cuda(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "copy to the device");
  }
  void copy_to_host(void* host, const void* device, std::size_t bytes) override {
    check_cuda(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "copy to the host");
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    check_cuda(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToDevice), "copy on the device");
  }
  void synchronize() override { check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }
};

CudaRuntime cuda_runtime;
const bool registered = register_gpu_runtime(&cuda_runtime);

}  // namespace
}  // namespace vibnet
