#pragma once

namespace vibnet {

/// softmax() on the current GPU: exp(x) divided by its sum over the classes, of outer x classes x
/// inner; y may be x.
void softmax_gpu(const float* x, int outer, int classes, int inner, float* y);
/// dx = (dy - sum over the classes of dy y) y; dx may be dy.
void softmax_gradient_gpu(const float* y, const float* dy, int outer, int classes, int inner,
                          float* dx);

}  // namespace vibnet
