#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// Whether the state meets the layer's include or exclude rules. Throws Error for a layer that has
/// both kinds.
bool is_included(const LayerParameter& layer, const NetState& state);

/// The layers whose include and exclude rules the state meets (Caffe's Net::FilterNet).
NetParameter filter_net(const NetParameter& net, const NetState& state);

/// The net's own state, in this phase.
NetState state_in(const NetParameter& net, Phase phase);
/// The layers of the net in this phase, in its own state.
NetParameter phase_of(const NetParameter& net, Phase phase);

/// filter_net(), as a net that has no other phase: its layers without rules.
NetParameter single_phase(const NetParameter& net, const NetState& state);

/// The net with a Split layer behind every blob that several layers read, or that is read and
/// weighs in the loss too (Caffe's InsertSplits, and its names).
NetParameter insert_splits(const NetParameter& net);

}  // namespace vibnet
