#pragma once

#include <string>

#include "vibnet/net.h"
#include "vibnet/random.h"

namespace vibnet {

/// Puts noise into an input: integers where a layer reads such (Embed, BatchReindex), 0 or 1 where
/// one reads that (LSTM's and RNN's cont, Filter's selector).
void fill_input(const RandomKey& key, const std::string& name, Net* net);

/// Puts noise where Input layers wait for values: zeros can be faster than what a user feeds in.
/// Labels stay 0.
void fill_inputs(Net* net);

/// Milliseconds of one forward pass of a CPU net: the median of a short run of passes, and of
/// `runs` such the smallest, since what else a machine does can only make it slower.
double forward_ms(int runs, Net* net);

}  // namespace vibnet
