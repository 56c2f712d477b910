#include "vibnet/synced_memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/gpu_runtime.h"
#include "core/memory_uses.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// What may be read beyond the end on the host: see SyncedMemory.
constexpr std::size_t kReadBeyond = 64;

std::atomic<std::size_t> current_bytes{0};
std::atomic<std::size_t> peak_bytes{0};
std::atomic<std::size_t> gpu_bytes{0};

void count_allocated(std::size_t bytes) {
  const std::size_t now = current_bytes += bytes;
  std::size_t peak = peak_bytes;
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
}

std::uint64_t next_stamp() {
  static std::atomic<std::uint64_t> stamp{0};
  return ++stamp;
}

/// Null for a thread that uses no GPU, and where none is left.
std::shared_ptr<void> allocate_pinned(std::size_t bytes) {
  if (!thread_uses_gpu()) return nullptr;
  void* pointer = gpu_runtime()->allocate_pinned(bytes);
  if (pointer == nullptr) return nullptr;
  count_allocated(bytes);
  return {pointer, [bytes](void* p) {
            gpu_runtime()->release_pinned(p);
            current_bytes -= bytes;
          }};
}

/// Large memory in huge pages, where the system has them: with small ones a pass over maps spends a
/// tenth of its time and more on finding where they are. Those that are not filled stay small.
void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kCacheLine = 64;
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t alignment = bytes < kHugePage ? kCacheLine : kHugePage;
  const std::size_t rounded = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  void* pointer = std::aligned_alloc(alignment, rounded);
#ifdef MADV_HUGEPAGE
  if (pointer != nullptr && bytes >= kHugePage)
    madvise(pointer, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return pointer;
}

std::shared_ptr<void> allocate_on_cpu(std::size_t bytes) {
  if (std::shared_ptr<void> pinned = allocate_pinned(bytes + kReadBeyond)) return pinned;
  void* pointer = allocate_aligned(bytes + kReadBeyond);
  if (pointer == nullptr) fail("out of memory: ", bytes, " bytes were asked for on the host");
  count_allocated(bytes);
  return {pointer, [bytes](void* p) {
            std::free(p);
            current_bytes -= bytes;
          }};
}

std::shared_ptr<void> allocate_on_gpu(std::size_t bytes) {
  void* pointer = gpu_runtime()->allocate(bytes);
  count_allocated(bytes);
  gpu_bytes += bytes;
  MemoryUses::note_allocation();
  return {pointer, [bytes](void* p) {
            gpu_runtime()->release(p);
            MemoryUses::note_release(p);
            current_bytes -= bytes;
            gpu_bytes -= bytes;
          }};
}

}  // namespace

void SyncedMemory::to_cpu() {
  MemoryUses::note_cpu();
  if (head_ == Head::AT_CPU || head_ == Head::SYNCED) return;
  if (!cpu_) cpu_ = allocate_on_cpu(bytes_);
  if (head_ == Head::UNINITIALIZED) {
    std::memset(cpu_.get(), 0, bytes_);
    head_ = Head::AT_CPU;
  } else {
    gpu_runtime()->copy_to_host(cpu_.get(), gpu_.get(), bytes_);
    head_ = Head::SYNCED;
  }
}

void SyncedMemory::to_gpu() {
  if (head_ == Head::AT_GPU || head_ == Head::SYNCED) return;
  if (!gpu_) gpu_ = allocate_on_gpu(bytes_);
  if (head_ == Head::UNINITIALIZED) {
    gpu_runtime()->fill_zero(gpu_.get(), bytes_);
    head_ = Head::AT_GPU;
  } else {
    gpu_runtime()->copy_to_device(gpu_.get(), cpu_.get(), bytes_);
    head_ = Head::SYNCED;
  }
}

const void* SyncedMemory::cpu_data() {
  to_cpu();
  return cpu_.get();
}

void* SyncedMemory::mutable_cpu_data() {
  to_cpu();
  head_ = Head::AT_CPU;
  stamp_ = next_stamp();
  return cpu_.get();
}

void SyncedMemory::clear() {
  MemoryUses::note_cpu();
  head_ = Head::UNINITIALIZED;
  stamp_ = next_stamp();
}

void* SyncedMemory::overwritten_cpu_data() {
  MemoryUses::note_cpu();
  if (!cpu_) cpu_ = allocate_on_cpu(bytes_);
  head_ = Head::AT_CPU;
  stamp_ = next_stamp();
  return cpu_.get();
}

const void* SyncedMemory::gpu_data() {
  const bool was_clear = is_clear();
  to_gpu();
  MemoryUses::note_gpu(this, gpu_.get(), was_clear, false);
  return gpu_.get();
}

void* SyncedMemory::mutable_gpu_data() {
  const bool was_clear = is_clear();
  to_gpu();
  MemoryUses::note_gpu(this, gpu_.get(), was_clear, true);
  head_ = Head::AT_GPU;
  stamp_ = next_stamp();
  return gpu_.get();
}

void SyncedMemory::copy_from(SyncedMemory* other, std::size_t bytes) {
  const bool is_on_gpu = other->head_ == Head::AT_GPU || other->head_ == Head::SYNCED;
  if (thread_uses_gpu() && is_on_gpu)
    gpu_runtime()->copy_on_device(mutable_gpu_data(), other->gpu_data(), bytes);
  else
    std::memcpy(mutable_cpu_data(), other->cpu_data(), bytes);
}

MemoryUsage memory_usage() { return {current_bytes, peak_bytes, gpu_bytes}; }

void reset_peak_memory() { peak_bytes = current_bytes.load(); }

}  // namespace vibnet
