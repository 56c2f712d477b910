#include <algorithm>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Hands one blob to several readers and sums their gradients (Caffe's Split). The net inserts it.
class SplitLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount top_count() const override { return {1, BlobCount::kAny}; }

  bool shares_data() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override {
    for (Blob* reader : top) reader->reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override {
    ChannelRule rule = ChannelRule::moved();
    rule.sources.resize(top.size());
    for (auto& sources : rule.sources)
      for (int c = 0; c < bottom[0]->shape(1); ++c) sources.push_back({0, c});
    return rule;
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    for (Blob* reader : top) reader->share_data(*bottom[0]);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
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
};

REGISTER_LAYER(Split, CPU, SplitLayer);

}  // namespace vibnet
