#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// A net's TEST form (see make_deploy) with an InformationBottleneck on every edge that allows one:
/// for every layer and every bottom of it that has channels and leads to the scores. The readers of
/// a blob get one each. Edges from the net's input have one if `on_inputs`; none stands in front
/// of a Softmax, since that would choose among the classes.
NetParameter with_bottlenecks_on_edges(const NetParameter& deploy, bool on_inputs = true);

}  // namespace vibnet
