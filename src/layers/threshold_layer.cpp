#include "layers/threshold_layer.h"

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

ChannelRule ThresholdLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  return ChannelRule::pointwise();
}

void ThresholdLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  const float threshold = parameter_.threshold_param().threshold();
  parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] > threshold ? 1.0f : 0.0f;
  });
}

REGISTER_LAYER(Threshold, CPU, ThresholdLayer);

}  // namespace vibnet
