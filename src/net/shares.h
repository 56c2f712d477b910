#pragma once

#include "vibnet/net.h"

namespace vibnet {

/// Throws Error, naming the layer, for a net that several ranks cannot train: one with a layer that
/// looks at several samples of a batch at once, and knows no way to do so over ranks.
void check_shares(const Net& net);

}  // namespace vibnet
