#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vibnet {

/// One array that lives on the host, on the GPU, or on both, and moves by itself to where it is
/// asked for. Zero until first written. On the host 64 bytes beyond the end may be read, whatever
/// is there. Not for use by two threads at once.
class SyncedMemory {
 public:
  explicit SyncedMemory(std::size_t bytes) : bytes_(bytes) {}

  const void* cpu_data();
  void* mutable_cpu_data();
  /// The current GPU's copy; only with a GPU in use (see use_device).
  const void* gpu_data();
  void* mutable_gpu_data();

  /// Zero again, as at first: it is written when it is next asked for.
  void clear();
  bool is_clear() const { return head_ == Head::UNINITIALIZED; }
  /// The same as mutable_cpu_data for who writes all of it: what is there may be anything.
  void* overwritten_cpu_data();

  /// Copies the other's first `bytes` to the front: on the GPU where the thread has one in use and
  /// the other's newest values are there, else on the host.
  void copy_from(SyncedMemory* other, std::size_t bytes);

  std::size_t bytes() const { return bytes_; }
  /// Whether a GPU holds memory for it.
  bool is_on_gpu() const { return gpu_ != nullptr; }

  /// Changes each time memory is asked for to be written, and is never that of another memory: what
  /// has been computed from the values holds while this stays.
  std::uint64_t stamp() const { return stamp_; }

 private:
  enum class Head { UNINITIALIZED, AT_CPU, AT_GPU, SYNCED };

  void to_cpu();
  void to_gpu();

  std::size_t bytes_;
  std::shared_ptr<void> cpu_;
  std::shared_ptr<void> gpu_;
  Head head_ = Head::UNINITIALIZED;
  std::uint64_t stamp_ = 0;
};

/// Bytes that SyncedMemory holds now, and the most it has held since reset_peak_memory, over the
/// host and all GPUs.
struct MemoryUsage {
  std::size_t current = 0;
  std::size_t peak = 0;
  /// Of the current ones.
  std::size_t on_gpus = 0;
};
MemoryUsage memory_usage();
void reset_peak_memory();

}  // namespace vibnet
