#pragma once

namespace vibnet {

/// softmax over the classes of x (outer x classes x inner) into y, which may be x.
void softmax(const float* x, int outer, int classes, int inner, float* y);

}  // namespace vibnet
