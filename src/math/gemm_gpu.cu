#include <algorithm>
#include <cstddef>
#include <map>

#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "math/gemm_gpu.h"
#include "vibnet/device.h"

namespace vibnet {
namespace {

/// What NVIDIA names for its newest devices.
constexpr std::size_t kWorkspace = std::size_t{32} << 20;

/// One handle for each thread and device, kept to the end of the program.
cublasHandle_t handle() {
  thread_local std::map<int, cublasHandle_t> handles;
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  cublasHandle_t& handle = handles[device];
  if (handle == nullptr) {
    check_cublas(cublasCreate(&handle), "cublasCreate");
    check_cublas(cublasSetStream(handle, cudaStreamPerThread), "cublasSetStream");
    // Its own would be taken anew each time that work is recorded.
    void* workspace = gpu_runtime()->allocate(kWorkspace);
    check_cublas(cublasSetWorkspace(handle, workspace, kWorkspace), "cublasSetWorkspace");
  }
  const cublasMath_t math = gpu_math().tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH;
  check_cublas(cublasSetMathMode(handle, math), "cublasSetMathMode");
  return handle;
}

}  // namespace

void gemm_gpu(Transpose transpose_a, Transpose transpose_b, int m, int n, int k, float alpha,
              const float* a, const float* b, float beta, float* c) {
  if (m == 0 || n == 0) return;
  const bool ta = transpose_a == Transpose::YES;
  const bool tb = transpose_b == Transpose::YES;
  // cuBLAS takes no leading dimension of 0, not even where k is 0.
  const int lda = std::max(1, ta ? m : k);
  const int ldb = std::max(1, tb ? k : n);
  // cuBLAS is column-major: what it sees is C^T = op(B)^T op(A)^T.
  check_cublas(cublasSgemm(handle(), tb ? CUBLAS_OP_T : CUBLAS_OP_N, ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                           n, m, k, &alpha, b, ldb, a, lda, &beta, c, n),
               "cublasSgemm");
}

}  // namespace vibnet
