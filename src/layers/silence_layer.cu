#include "layers/silence_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class SilenceLayerGPU : public SilenceLayer {
 public:
  using SilenceLayer::SilenceLayer;

  void backward(const Blobs& /*top*/, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    for (std::size_t i = 0; i < bottom.size(); ++i)
      if (propagate_down[i]) zero_gpu(bottom[i]->count(), bottom[i]->mutable_gpu_diff());
  }
};

REGISTER_LAYER(Silence, GPU, SilenceLayerGPU);

}  // namespace vibnet
