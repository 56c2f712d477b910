#pragma once

#include "vibnet/net.h"

namespace vibnet {

/// Puts noise where Input layers wait for values: zeros can be faster than what a user feeds in.
/// Labels stay 0.
void fill_inputs(Net* net);

/// Milliseconds of one forward pass of a CPU net: the median of a short run of passes, and of
/// `runs` such the smallest, since what else a machine does can only make it slower.
double forward_ms(int runs, Net* net);

}  // namespace vibnet
