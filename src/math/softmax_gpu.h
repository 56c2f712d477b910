#pragma once

namespace vibnet {

/// softmax() on the current GPU; all pointers are the device's.
void softmax_gpu(const float* x, int outer, int classes, int inner, float* y);

}  // namespace vibnet
