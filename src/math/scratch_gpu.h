#pragma once

#include <cstddef>

namespace vibnet {

/// Device memory of so many bytes for the calling thread's stream to work in, until the thread's
/// next call: see scratch().
void* scratch_gpu(std::size_t bytes);

/// More of it, for who hands it to others that call scratch_gpu().
void* outer_scratch_gpu(std::size_t bytes);
void free_outer_scratch_gpu();

/// More of it, for the sums that one kernel leaves to the next.
void* sums_gpu(std::size_t bytes);

/// Counters of the calling thread's stream, which are 0 between its kernels: who counts sees to it.
constexpr int kCounters = 1024;
unsigned* counters_gpu();

}  // namespace vibnet
