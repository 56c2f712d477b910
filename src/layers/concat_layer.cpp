#include "layers/concat_layer.h"

#include <algorithm>

#include "layers/copy_rows.h"
#include "vibnet/registry.h"

namespace vibnet {

void ConcatLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const ConcatParameter& p = parameter_.concat_param();
  if (p.has_axis() && p.has_concat_dim()) fail("has axis and concat_dim; give one");
  axis_ = p.has_concat_dim() ? static_cast<int>(p.concat_dim()) : p.axis();
  axis_ = bottom[0]->canonical_axis(axis_);
  Shape shape = bottom[0]->shape();
  for (std::size_t i = 1; i < bottom.size(); ++i) {
    Shape other = bottom[i]->shape();
    if (other.size() == shape.size()) {
      const int size = other[axis_];
      other[axis_] = shape[axis_];
      if (other == shape) {
        shape[axis_] += size;
        continue;
      }
    }
    fail("bottom '", parameter_.bottom(static_cast<int>(i)), "' is ", to_string(bottom[i]->shape()),
         ", which differs from ", to_string(bottom[0]->shape()), " in more than axis ", axis_);
  }
  top[0]->reshape(shape);
}

ChannelRule ConcatLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  if (axis_ != 1) return ChannelRule::wall();
  ChannelRule rule = ChannelRule::moved();
  rule.sources.emplace_back();
  for (std::size_t i = 0; i < bottom.size(); ++i)
    for (int c = 0; c < bottom[i]->shape(1); ++c)
      rule.sources[0].push_back({static_cast<int>(i), c});
  return rule;
}

void ConcatLayer::forward(const Blobs& bottom, const Blobs& top) {
  if (bottom.size() == 1) return top[0]->share_data(*bottom[0]);
  const int row = top[0]->count(axis_);
  float* y = top[0]->mutable_cpu_data();
  for (const Blob* part : bottom) {
    const int size = part->count(axis_);
    copy_rows(top[0]->count(0, axis_), size, part->cpu_data(), size, y, row);
    y += size;
  }
}

void ConcatLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                           const Blobs& bottom) {
  if (bottom.size() == 1) {
    if (propagate_down[0]) bottom[0]->share_diff(*top[0]);
    return;
  }
  const int row = top[0]->count(axis_);
  const float* dy = top[0]->cpu_diff();
  for (std::size_t i = 0; i < bottom.size(); ++i) {
    const int size = bottom[i]->count(axis_);
    if (propagate_down[i])
      copy_rows(top[0]->count(0, axis_), size, dy, row, bottom[i]->mutable_cpu_diff(), size);
    dy += size;
  }
}

REGISTER_LAYER(Concat, CPU, ConcatLayer);

}  // namespace vibnet
