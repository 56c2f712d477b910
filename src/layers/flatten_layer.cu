#include "layers/flatten_layer.h"

#include "vibnet/registry.h"

namespace vibnet {

// It hands memory on, wherever that is.
REGISTER_LAYER(Flatten, GPU, FlattenLayer);

}  // namespace vibnet
