#pragma once

namespace vibnet {

enum class Transpose { NO, YES };

/// C (MxN) = op(A) (MxK) * op(B) (KxN), or C += where it `adds`; row-major and dense, on the CPU.
/// Uses all threads, unless called from within a loop that they share; the result is the same bit
/// for bit with any number of them. B may be read up to a vector beyond its end, as SyncedMemory
/// allows.
void gemm(Transpose transpose_a, Transpose transpose_b, int m, int n, int k, const float* a,
          const float* b, bool adds, float* c);

}  // namespace vibnet
