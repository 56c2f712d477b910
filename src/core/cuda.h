#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <string>

#include "core/gpu_runtime.h"
#include "vibnet/error.h"

namespace vibnet {

/// `asked`: see GpuOutOfMemory.
[[noreturn]] inline void fail_out_of_memory(const std::string& asked) {
  cudaGetLastError();
  std::size_t free = 0;
  std::size_t total = 0;
  cudaMemGetInfo(&free, &total);
  throw GpuOutOfMemory(asked, free, total);
}

/// Throws Error with CUDA's own words when a call failed.
inline void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaErrorMemoryAllocation) fail_out_of_memory(std::string("bytes for ") + call);
  if (status != cudaSuccess) fail("GPU: ", call, ": ", cudaGetErrorString(status));
}

/// The same for the kernel launched just before.
inline void check_launch(const char* kernel) { check_cuda(cudaGetLastError(), kernel); }

inline void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_ALLOC_FAILED) fail_out_of_memory(std::string("bytes for ") + call);
  if (status != CUBLAS_STATUS_SUCCESS) fail("GPU: ", call, ": ", cublasGetStatusString(status));
}

constexpr int kThreadsPerBlock = 256;

inline int blocks_for(long long threads) {
  return static_cast<int>((threads + kThreadsPerBlock - 1) / kThreadsPerBlock);
}

}  // namespace vibnet
