#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// The TEST phase of a model.
NetParameter test_phase(const NetParameter& model);

/// `net` with the blobs that `weights` holds under its layers' names, in floats and in the shapes
/// of today. Throws Error, naming the layer, where those it must edit are missing or do not fit.
NetParameter with_weights(NetParameter net, const NetParameter& weights);

/// How many blobs a layer must bring, for the types whose blobs are edited.
int needed_blobs(const LayerParameter& layer);

}  // namespace vibnet
