#pragma once

#include "vibnet.pb.h"
#include "vibnet/blob.h"

namespace vibnet {

/// A small ShuffleNet for deployment, up to its 10 scores: a stem, units of the first version
/// (Zhang et al. 2018: grouped 1x1, shuffle, depthwise 3x3, grouped 1x1, and a sum, or with stride
/// 2 a concatenation with a pooled shortcut), and units of the second (Ma et al. 2018: half the
/// channels pass by, the others go through 1x1, depthwise 3x3, 1x1, and both are shuffled).
NetParameter shuffle_net(const Shape& input);

}  // namespace vibnet
