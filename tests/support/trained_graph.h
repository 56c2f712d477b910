#pragma once

#include <cstdint>
#include <vector>

#include "support/outputs.h"
#include "vibnet.pb.h"
#include "vibnet/net.h"

namespace vibnet {

/// Whether layers of a prototxt stay in place, or get tops of their own.
enum class InPlace { YES, NO };

/// The TRAIN form of a drawn net, with no noise by position, and with an eps that keeps BatchNorm
/// from blowing up rounding where a channel is constant.
NetParameter for_training(const NetParameter& model, InPlace in_place);

/// The net with losses in its midst, layers that learn nothing, and gradients that go no further.
NetParameter with_exceptions(NetParameter model, std::uint32_t seed);

/// The outputs of these inputs; sets the gradients that they shall have, and clears the others.
NamedValues forward(const NamedValues& inputs, Net* net);

/// The gradients as if they were weights.
NetParameter gradients_of(const Net& net);

/// All values of one after the other, by layer name.
NamedValues as_one(const NetParameter& net);

/// Outputs and gradients of two passes, in turns, as what one leaves in memory must not matter to
/// the next.
std::vector<NamedValues> two_passes(const NetParameter& model, const NetParameter& weights,
                                    Net* net);

}  // namespace vibnet
