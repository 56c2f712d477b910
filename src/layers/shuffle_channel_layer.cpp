#include "layers/shuffle_channel_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void ShuffleChannelLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  groups_ = size_of("group", parameter_.shuffle_channel_param().group());
  if (x.axes() < 2) fail("needs a bottom of at least 2 axes, not ", to_string(x.shape()));
  channels_ = x.shape(1);
  if (groups_ < 1 || channels_ % groups_ != 0)
    fail("group: ", groups_, " must divide the ", channels_, " channels");
  planes_ = x.count(0, 2);
  size_ = x.count(2);
  top[0]->reshape_like(x);
}

ChannelRule ShuffleChannelLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  ChannelRule rule = ChannelRule::moved();
  rule.sources.emplace_back(channels_);
  const int in_group = channels_ / groups_;
  for (int c = 0; c < channels_; ++c)
    rule.sources[0][c % in_group * groups_ + c / in_group] = {0, c};
  return rule;
}

void ShuffleChannelLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  for_each_plane([=](std::int64_t plane, std::int64_t shuffled) {
    std::copy_n(x + plane, size_, y + shuffled);
  });
}

void ShuffleChannelLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for_each_plane([=](std::int64_t plane, std::int64_t shuffled) {
    std::copy_n(dy + shuffled, size_, dx + plane);
  });
}

template <typename Body>
void ShuffleChannelLayer::for_each_plane(const Body& body) const {
  const int in_group = channels_ / groups_;
  parallel_for(planes_, grain_of(size_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int64_t channel = plane % channels_;
      const std::int64_t shuffled = channel % in_group * groups_ + channel / in_group;
      body(plane * size_, (plane - channel + shuffled) * size_);
    }
  });
}

REGISTER_LAYER(ShuffleChannel, CPU, ShuffleChannelLayer);

}  // namespace vibnet
