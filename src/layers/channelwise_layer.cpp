#include "layers/channelwise_layer.h"

#include <algorithm>

#include "core/gpu_runtime.h"
#include "layers/channel_pass.h"
#include "math/parallel.h"

namespace vibnet {
void ChannelwiseLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  layout_ = x.axes() < 2 ? ChannelLayout{x.count(), 1, 1}
                         : ChannelLayout{x.shape(0), x.shape(1), x.count(2)};
  top[0]->reshape_like(x);
}

void ChannelwiseLayer::keep_x(const Blobs& bottom, const Blobs& top) {
  if (!keeps_x(bottom, top)) return;
  kept_x_.reshape_like(*bottom[0]);
  if (context_.device.type == DeviceType::GPU)
    return gpu_runtime()->copy_on_device(kept_x_.mutable_gpu_data(), bottom[0]->gpu_data(),
                                         bottom[0]->count() * sizeof(float));
  const float* x = bottom[0]->cpu_data();
  float* copy = kept_x_.mutable_cpu_data();
  parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    std::copy(x + begin, x + end, copy + begin);
  });
}

void ChannelwiseLayer::forward(const Blobs& bottom, const Blobs& top) {
  keep_x(bottom, top);
  ChannelPassCPU({this}).forward(bottom, top);
}

void ChannelwiseLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                const Blobs& bottom) {
  ChannelPassCPU({this}).backward(top, propagate_down, kept_x(bottom, top), bottom);
}

}  // namespace vibnet
