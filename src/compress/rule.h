#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// What a layer is to the channels that pass through it.
enum class Role {
  CHANNELWISE,  // each channel of the top depends on that channel of the bottom alone
  MIXER,        // its parameters join all channels of the bottom into new ones
  WALL          // not known: its channels stay as they are
};

/// For which mu a layer gives f(mu x) = mu f(x).
enum class Homogeneous { NEVER, FOR_POSITIVE, ALWAYS };

struct Rule {
  Role role = Role::WALL;
  /// A channel that is zero comes out as zero.
  bool keeps_zero = false;
  Homogeneous homogeneous = Homogeneous::NEVER;
};

/// The rule of a layer type, its parameter considered. A type not listed is a wall.
Rule rule_of(const LayerParameter& layer);

/// The blobs of a channelwise layer that hold one value for each channel.
int per_channel_blobs(const LayerParameter& layer);

}  // namespace vibnet
