#include "layers/reshape_layer.h"

#include "vibnet/registry.h"

namespace vibnet {

// It hands memory on, wherever that is.
REGISTER_LAYER(Reshape, GPU, ReshapeLayer);

}  // namespace vibnet
