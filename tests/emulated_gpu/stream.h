#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <mutex>

namespace emulated_gpu {

/// Held by all that touches the device, and while it works: it does one thing at a time.
std::recursive_mutex& device_mutex();

/// Gives the stream work. It is done as late as can be, when somebody waits for it: what reads
/// results without waiting finds that they are not there.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

/// Whether the calling thread records its stream: most calls that wait are refused then, and spoil
/// the recording.
bool refuses_to_wait();

void finish(cudaStream_t stream);
void finish_all();

/// What cudaGetLastError() will say.
cudaError_t keep(cudaError_t status);

bool is_on_device(const void* pointer, std::size_t bytes);
bool is_pinned(const void* pointer);

}  // namespace emulated_gpu
