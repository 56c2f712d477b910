#include <cblas.h>
#include <cublas_v2.h>

#include "block.h"
#include "stream.h"

struct EmulatedCublas {
  cudaStream_t stream = cudaStreamPerThread;
  void* workspace = nullptr;
};

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  if (emulated_gpu::refuses_to_wait()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new EmulatedCublas;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (!emulated_gpu::is_on_device(workspace, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasGetStatusString(cublasStatus_t) { return "a failure of the emulated cuBLAS"; }

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t of_a, cublasOperation_t of_b,
                           int m, int n, int k, const float* alpha, const float* a, int lda,
                           const float* b, int ldb, const float* beta, float* c, int ldc) {
  if (handle->workspace == nullptr) emulated_gpu::fault("cuBLAS would allocate its own workspace");
  const auto transpose = [](cublasOperation_t of) {
    return of == CUBLAS_OP_T ? CblasTrans : CblasNoTrans;
  };
  const cudaError_t status = emulated_gpu::enqueue(
      handle->stream,
      [=, one = transpose(of_a), other = transpose(of_b), alpha = *alpha, beta = *beta] {
        cblas_sgemm(CblasColMajor, one, other, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
      });
  return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}
