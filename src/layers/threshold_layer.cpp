#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = 1 where x > threshold, else 0; in place if asked. It has no gradient (Caffe's Threshold).
class ThresholdLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override { top[0]->reshape_like(*bottom[0]); }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise();
  }
  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    float* y = top[0]->mutable_cpu_data();
    const float threshold = parameter_.threshold_param().threshold();
    parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] > threshold ? 1.0f : 0.0f;
    });
  }
};

REGISTER_LAYER(Threshold, CPU, ThresholdLayer);

}  // namespace vibnet
