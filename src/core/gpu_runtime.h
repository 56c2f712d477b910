#pragma once

#include <cstddef>

namespace vibnet {

/// What the core asks of a GPU. The CUDA sources hold the one implementation and register it; a
/// build without them has none, and the core needs no #ifdef.
class GpuRuntime {
 public:
  virtual ~GpuRuntime() = default;
  virtual int device_count() = 0;
  virtual void use(int index) = 0;
  /// Throws Error when the device's memory is full.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* pointer) = 0;
  virtual void fill_zero(void* pointer, std::size_t bytes) = 0;
  virtual void copy_to_device(void* device, const void* host, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy_on_device(void* to, const void* from, std::size_t bytes) = 0;
  /// Waits for all work given to the current device.
  virtual void synchronize() = 0;
};

/// Null in a build without CUDA.
GpuRuntime* gpu_runtime();

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_runtime(GpuRuntime* runtime);

}  // namespace vibnet
