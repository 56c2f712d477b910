#include "layers/flatten_layer.h"

#include "vibnet/registry.h"

namespace vibnet {

void FlattenLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  const int first = x.canonical_axis(parameter_.flatten_param().axis());
  const int last = x.canonical_axis(parameter_.flatten_param().end_axis());
  if (last < first) fail("end_axis comes before axis");
  Shape shape(x.shape().begin(), x.shape().begin() + first);
  shape.push_back(x.count(first, last + 1));
  shape.insert(shape.end(), x.shape().begin() + last + 1, x.shape().end());
  top[0]->reshape(shape);
}

ChannelRule FlattenLayer::channel_rule(const Blobs& bottom, const Blobs& top) const {
  const Blob& x = *bottom[0];
  const int first = x.canonical_axis(parameter_.flatten_param().axis());
  if (first == 1 && top[0]->axes() == 2) return ChannelRule::flattened(x.shape(1), x.count(2));
  if (first < 2) return ChannelRule::wall();
  return ChannelRule::each(ChannelRule::Constants::SAME, ChannelRule::Homogeneous::ALWAYS);
}

void FlattenLayer::forward(const Blobs& bottom, const Blobs& top) {
  top[0]->share_data(*bottom[0]);
}

void FlattenLayer::backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                            const Blobs& bottom) {
  bottom[0]->share_diff(*top[0]);
}

REGISTER_LAYER(Flatten, CPU, FlattenLayer);

}  // namespace vibnet
