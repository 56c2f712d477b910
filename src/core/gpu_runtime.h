#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "vibnet/error.h"

namespace vibnet {

/// What allocate() throws when the device's memory is full, and so do the calls that take some
/// themselves.
class GpuOutOfMemory : public Error {
 public:
  /// `asked`: the bytes asked for, in words.
  GpuOutOfMemory(const std::string& asked, std::size_t free, std::size_t total);
  std::size_t free() const { return free_; }

 private:
  std::size_t free_;
};

/// What the core asks of a GPU. The CUDA sources hold the one implementation and register it; a
/// build without them has none, and the core needs no #ifdef.
///
/// All work of a thread goes, in its order, to the stream that CUDA keeps for that thread. What
/// another thread has written is there once that one has called synchronize() or copied it back.
class GpuRuntime {
 public:
  virtual ~GpuRuntime() = default;
  virtual int device_count() = 0;
  /// CUDA's reason where device_count() is 0.
  virtual std::string why_none() = 0;
  /// Throws Error for a device that the kernels were not compiled for.
  virtual void use(int index) = 0;
  /// A number that no other GPU has, and this one has in every process.
  virtual double number_of(int index) = 0;
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* pointer) = 0;
  /// Host memory that is copied at full speed; null where there is no more of it.
  virtual void* allocate_pinned(std::size_t bytes) = 0;
  virtual void release_pinned(void* pointer) = 0;
  virtual void fill_zero(void* pointer, std::size_t bytes) = 0;
  /// Both wait until the copy is done.
  virtual void copy_to_device(void* device, const void* host, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy_on_device(void* to, const void* from, std::size_t bytes) = 0;
  /// Puts a mark, made where there is none, behind this thread's work so far; any thread can wait
  /// until that is done.
  virtual void set_mark(std::shared_ptr<void>* mark) = 0;
  virtual void wait_for(const void* mark) = 0;
  /// Waits for all work that this thread has given to the current device.
  virtual void synchronize() = 0;
};

/// Null in a build without CUDA.
GpuRuntime* gpu_runtime();

/// Whether use_device() made a GPU this thread's device.
bool thread_uses_gpu();

/// Called once, by the static initialiser of the CUDA sources.
bool register_gpu_runtime(GpuRuntime* runtime);

}  // namespace vibnet
