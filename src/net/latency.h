#pragma once

#include "vibnet/net.h"

namespace vibnet {

/// Puts noise where Input layers wait for values: zeros can be faster than what a user feeds in.
/// Labels stay 0.
void fill_inputs(Net* net);

/// Milliseconds of one forward pass of a CPU net, the median of `passes` behind some to warm up.
double forward_ms(int passes, Net* net);

}  // namespace vibnet
