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
  std::vector<const float*> diffs;
  for (const Blob* reader : top) diffs.push_back(reader->cpu_diff());
  float* sum = bottom[0]->mutable_cpu_diff();
  parallel_for(bottom[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
    if (diffs.size() == 1) std::copy(diffs[0] + begin, diffs[0] + end, sum + begin);
    for (std::int64_t i = begin; diffs.size() > 1 && i < end; ++i)
      sum[i] = diffs[0][i] + diffs[1][i];
    for (std::size_t reader = 2; reader < diffs.size(); ++reader)
      for (std::int64_t i = begin; i < end; ++i) sum[i] += diffs[reader][i];
  });
}

REGISTER_LAYER(Split, CPU, SplitLayer);

}  // namespace vibnet
