#pragma once

namespace vibnet {

enum class Transpose { NO, YES };

/// C (MxN) = alpha * op(A) (MxK) * op(B) (KxN) + beta * C, row-major and dense, on the CPU. Uses
/// all threads, unless called from within a parallel region; the result is the same bit for bit
/// with any number of them.
void gemm(Transpose transpose_a, Transpose transpose_b, int m, int n, int k, float alpha,
          const float* a, const float* b, float beta, float* c);

}  // namespace vibnet
