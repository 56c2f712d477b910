#include "layers/channelwise_layer.h"

#include <algorithm>

#include "layers/channel_pass.h"
#include "math/parallel.h"

namespace vibnet {
namespace {

void copy_data(const Blob& from, Blob* to) {
  const float* values = from.cpu_data();
  float* copy = to->mutable_cpu_data();
  parallel_for(from.count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    std::copy(values + begin, values + end, copy + begin);
  });
}

}  // namespace

void ChannelwiseLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  layout_ = x.axes() < 2 ? ChannelLayout{x.count(), 1, 1}
                         : ChannelLayout{x.shape(0), x.shape(1), x.count(2)};
  top[0]->reshape_like(x);
}

void ChannelwiseLayer::forward(const Blobs& bottom, const Blobs& top) {
  if (keeps_x(bottom, top)) {
    kept_x_.reshape_like(*bottom[0]);
    copy_data(*bottom[0], &kept_x_);
  }
  ChannelPass({this}).forward(bottom, top);
}

void ChannelwiseLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                const Blobs& bottom) {
  const Blob& x = keeps_x(bottom, top) ? kept_x_ : *bottom[0];
  ChannelPass({this}).backward(top, propagate_down, x, bottom);
}

}  // namespace vibnet
