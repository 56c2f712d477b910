#pragma once

#include <functional>

namespace emulated_gpu {

/// Does the work of a kernel: `thread` once for each of blockDim's threads, which may wait for one
/// another. Forward or backward: results must not hang on the order of threads.
void run_block(const std::function<void()>& thread, bool is_backward);

/// Ends the program: what the GPU is asked for has no meaning.
[[noreturn]] void fault(const char* what);

}  // namespace emulated_gpu
