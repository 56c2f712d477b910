#include "layers/split_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void SplitLayer::reshape(const Blobs& bottom, const Blobs& top) {
  for (Blob* reader : top) reader->reshape_like(*bottom[0]);
}

ChannelRule SplitLayer::channel_rule(const Blobs& bottom, const Blobs& top) const {
  ChannelRule rule = ChannelRule::moved();
  rule.sources.resize(top.size());
  for (auto& sources : rule.sources)
    for (int c = 0; c < bottom[0]->shape(1); ++c) sources.push_back({0, c});
  return rule;
}

void SplitLayer::forward(const Blobs& bottom, const Blobs& top) {
  for (Blob* reader : top) reader->share_data(*bottom[0]);
}

void SplitLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                          const Blobs& bottom) {
  if (!propagate_down[0]) return;
  float* sum = bottom[0]->mutable_cpu_diff();
  std::copy_n(top[0]->cpu_diff(), bottom[0]->count(), sum);
  for (std::size_t reader = 1; reader < top.size(); ++reader) {
    const float* diff = top[reader]->cpu_diff();
    parallel_for(bottom[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) sum[i] += diff[i];
    });
  }
}

REGISTER_LAYER(Split, CPU, SplitLayer);

}  // namespace vibnet
