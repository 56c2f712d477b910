#include "layers/shuffle_channel_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// Where the bottom's values go.
struct Shuffle {
  int groups, in_group, size;

  __device__ int index(int i) const {
    const int channels = groups * in_group;
    const int plane = i / size;
    const int channel = plane % channels;
    const int shuffled = channel % in_group * groups + channel / in_group;
    return (plane - channel + shuffled) * size + i % size;
  }
};

}  // namespace

class ShuffleChannelLayerGPU : public ShuffleChannelLayer {
 public:
  using ShuffleChannelLayer::ShuffleChannelLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const Shuffle shuffle = this->shuffle();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { y[shuffle.index(i)] = x[i]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const Shuffle shuffle = this->shuffle();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { dx[i] = dy[shuffle.index(i)]; });
  }

 private:
  Shuffle shuffle() const { return {groups_, channels_ / groups_, size_}; }
};

REGISTER_LAYER(ShuffleChannel, GPU, ShuffleChannelLayerGPU);

}  // namespace vibnet
