#pragma once

#include "math/gemm.h"

namespace vibnet {

/// gemm() on the current GPU, in full float32 or as gpu_math() says; all pointers are the device's.
void gemm_gpu(Transpose transpose_a, Transpose transpose_b, int m, int n, int k, float alpha,
              const float* a, const float* b, float beta, float* c);

}  // namespace vibnet
