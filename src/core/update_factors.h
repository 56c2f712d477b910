#pragma once

namespace vibnet {

/// What an update hangs on that is another in each iteration.
struct UpdateFactors {
  double rate = 0;
  float kl_weight = 1;
  /// What Adam's means of gradients and of squares are biased by (Kingma and Ba 2015, section 3):
  /// 1 - beta1^t, and the root of 1 - beta2^t.
  double bias = 1;
  double root = 1;
};

}  // namespace vibnet
