#include "layers/permute_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void PermuteLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const int axes = bottom[0]->axes();
  std::vector<int> order;
  const auto has = [&](int axis) {
    return std::find(order.begin(), order.end(), axis) != order.end();
  };
  for (const std::uint32_t given : parameter_.permute_param().order()) {
    if (given >= static_cast<std::uint32_t>(axes))
      fail("order: ", given, " is out of range for a bottom of ", axes, " axes");
    if (has(static_cast<int>(given))) fail("has order: ", given, " twice");
    order.push_back(static_cast<int>(given));
  }
  for (int axis = 0; axis < axes; ++axis)
    if (!has(axis)) order.push_back(axis);
  Shape shape;
  steps_.clear();
  for (const int axis : order) {
    shape.push_back(bottom[0]->shape(axis));
    steps_.push_back(bottom[0]->count(axis + 1));
  }
  top[0]->reshape(shape);
}

void PermuteLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  for_each_pair(top[0]->shape(), top[0]->count(),
                [=](std::int64_t from, std::int64_t to) { y[to] = x[from]; });
}

void PermuteLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for_each_pair(top[0]->shape(), top[0]->count(),
                [=](std::int64_t from, std::int64_t to) { dx[from] = dy[to]; });
}

template <typename Body>
void PermuteLayer::for_each_pair(const Shape& top, int count, const Body& body) const {
  const int row = top.empty() ? 1 : top.back();
  const int step = top.empty() ? 0 : steps_.back();
  if (count == 0) return;
  parallel_for(count / row, grain_of(row), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::int64_t from = 0;
      std::int64_t rest = r;
      for (int axis = static_cast<int>(top.size()) - 2; axis >= 0; --axis) {
        from += rest % top[axis] * steps_[axis];
        rest /= top[axis];
      }
      for (int i = 0; i < row; ++i) body(from + 1LL * i * step, r * row + i);
    }
  });
}

REGISTER_LAYER(Permute, CPU, PermuteLayer);

}  // namespace vibnet
