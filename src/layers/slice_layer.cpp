#include "layers/slice_layer.h"

#include <algorithm>

#include "layers/copy_rows.h"
#include "vibnet/registry.h"

namespace vibnet {

void SliceLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const SliceParameter& p = parameter_.slice_param();
  if (p.has_axis() && p.has_slice_dim()) fail("has axis and slice_dim; give one");
  axis_ = p.has_slice_dim() ? static_cast<int>(p.slice_dim()) : p.axis();
  axis_ = bottom[0]->canonical_axis(axis_);
  const std::vector<int> ends = find_ends(bottom[0]->shape(axis_), static_cast<int>(top.size()));
  Shape shape = bottom[0]->shape();
  for (std::size_t i = 0; i < top.size(); ++i) {
    shape[axis_] = ends[i] - (i == 0 ? 0 : ends[i - 1]);
    top[i]->reshape(shape);
  }
}

ChannelRule SliceLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& top) const {
  if (axis_ != 1) return ChannelRule::wall();
  ChannelRule rule = ChannelRule::moved();
  int from = 0;
  for (const Blob* part : top) {
    rule.sources.emplace_back();
    for (int c = 0; c < part->shape(1); ++c) rule.sources.back().push_back({0, from++});
  }
  return rule;
}

void SliceLayer::forward(const Blobs& bottom, const Blobs& top) {
  if (top.size() == 1) return top[0]->share_data(*bottom[0]);
  const int row = bottom[0]->count(axis_);
  const float* x = bottom[0]->cpu_data();
  for (Blob* part : top) {
    const int size = part->count(axis_);
    copy_rows(bottom[0]->count(0, axis_), size, x, row, part->mutable_cpu_data(), size);
    x += size;
  }
}

void SliceLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                          const Blobs& bottom) {
  if (!propagate_down[0]) return;
  if (top.size() == 1) return bottom[0]->share_diff(*top[0]);
  const int row = bottom[0]->count(axis_);
  float* dx = bottom[0]->mutable_cpu_diff();
  for (const Blob* part : top) {
    const int size = part->count(axis_);
    copy_rows(bottom[0]->count(0, axis_), size, part->cpu_diff(), size, dx, row);
    dx += size;
  }
}

std::vector<int> SliceLayer::find_ends(int size, int parts) const {
  const auto& points = parameter_.slice_param().slice_point();
  std::vector<int> ends(points.begin(), points.end());
  if (ends.empty()) return equal_ends(size, parts);
  ends.push_back(size);
  if (static_cast<int>(ends.size()) != parts)
    fail("needs ", parts - 1, " slice_point for ", parts, " tops, and has ", ends.size() - 1);
  for (std::size_t i = 0; i < ends.size(); ++i)
    if (ends[i] <= (i == 0 ? 0 : ends[i - 1]))
      fail("slice_point must rise and stay under the axis' size, ", size);
  return ends;
}

std::vector<int> SliceLayer::equal_ends(int size, int parts) const {
  if (size % parts != 0)
    fail("cannot cut ", size, " into ", parts, " equal parts; give slice_point");
  std::vector<int> ends;
  for (int i = 1; i <= parts; ++i) ends.push_back(i * (size / parts));
  return ends;
}

REGISTER_LAYER(Slice, CPU, SliceLayer);

}  // namespace vibnet
