#pragma once

#include "support/outputs.h"
#include "vibnet.pb.h"
#include "vibnet/net.h"

namespace vibnet {

/// Whether layers of a prototxt stay in place, or get tops of their own.
enum class InPlace { YES, NO };

/// The TRAIN form of a drawn net, with no noise by position, and with an eps that keeps BatchNorm
/// from blowing up rounding where a channel is constant.
NetParameter for_training(const NetParameter& model, InPlace in_place);

/// The outputs of these inputs; sets the gradients that they shall have, and clears the others.
NamedValues forward(const NamedValues& inputs, Net* net);

/// The gradients as if they were weights.
NetParameter gradients_of(const Net& net);

/// All values of one after the other, by layer name.
NamedValues as_one(const NetParameter& net);

}  // namespace vibnet
