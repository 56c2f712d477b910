#pragma once

#include "vibnet.pb.h"

namespace vibnet {

/// Gives each convolution or pooling behind a "padding" layer that layer's pad, and drops the
/// padding layers, as Caffe does. Throws Error for any other layer behind one.
void fold_v0_padding(NetParameter* net);

/// The layer that a V0 one, `layers { layer { ... } }`, stands for; its blobs are moved over.
/// A field that its type has no use for is passed over with a warning. Throws Error for an unknown
/// type.
LayerParameter upgrade_v0_layer(V1LayerParameter* connection);

}  // namespace vibnet
