#include "layers/silence_layer.h"

#include "vibnet/registry.h"

namespace vibnet {

void SilenceLayer::forward(const Blobs& /*bottom*/, const Blobs& /*top*/) {}

void SilenceLayer::backward(const Blobs& /*top*/, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  for (std::size_t i = 0; i < bottom.size(); ++i)
    if (propagate_down[i]) bottom[i]->set_diff(0);
}

REGISTER_LAYER(Silence, CPU, SilenceLayer);

}  // namespace vibnet
