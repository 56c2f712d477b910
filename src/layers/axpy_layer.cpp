#include "layers/axpy_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void AxpyLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Shape& a = bottom[0]->shape();
  const Shape& x = bottom[1]->shape();
  if (x.size() < 2 || a.size() < 2 || !std::equal(a.begin(), a.begin() + 2, x.begin()) ||
      bottom[0]->count(2) != 1)
    fail("bottom 0 is ", to_string(a), ", and for a bottom 1 of ", to_string(x),
         " it must be samples x channels");
  if (bottom[2]->shape() != x)
    fail("bottom 2 is ", to_string(bottom[2]->shape()), ", and bottom 1 is ", to_string(x));
  inner_ = bottom[1]->count(2);
  top[0]->reshape_like(*bottom[1]);
}

ChannelRule AxpyLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  ChannelRule rule = ChannelRule::pointwise();
  rule.coupled = 3;
  return rule;
}

void AxpyLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* a = bottom[0]->cpu_data();
  const float* x = bottom[1]->cpu_data();
  const float* y = bottom[2]->cpu_data();
  float* sum = top[0]->mutable_cpu_data();
  for_each_plane(*bottom[0], [=](std::int64_t plane, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) sum[i] = a[plane] * x[i] + y[i];
  });
}

void AxpyLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                         const Blobs& bottom) {
  const float* a = bottom[0]->cpu_data();
  const float* x = bottom[1]->cpu_data();
  const float* dsum = top[0]->cpu_diff();
  float* da = propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr;
  float* dx = propagate_down[1] ? bottom[1]->mutable_cpu_diff() : nullptr;
  for_each_plane(*bottom[0], [=](std::int64_t plane, std::int64_t begin, std::int64_t end) {
    float dot = 0;
    for (std::int64_t i = begin; i < end; ++i) dot += dsum[i] * x[i];
    if (da != nullptr) da[plane] = dot;
    if (dx == nullptr) return;
    for (std::int64_t i = begin; i < end; ++i) dx[i] = dsum[i] * a[plane];
  });
  if (propagate_down[2]) std::copy_n(dsum, top[0]->count(), bottom[2]->mutable_cpu_diff());
}

template <typename Body>
void AxpyLayer::for_each_plane(const Blob& a, const Body& body) const {
  parallel_for(a.count(), grain_of(inner_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane)
      body(plane, plane * inner_, (plane + 1) * inner_);
  });
}

REGISTER_LAYER(Axpy, CPU, AxpyLayer);

}  // namespace vibnet
