#include "layers/im2col_layer.h"

#include <cstdint>
#include <limits>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void Im2colLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  read_window(*bottom[0]);
  if (spatial_axes_ < 1) fail("needs an axis behind the channels");
}

void Im2colLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Shape& shape = bottom[0]->shape();
  if (bottom[0]->axes() != channel_axis_ + 1 + spatial_axes_)
    fail("was made for ", channel_axis_ + 1 + spatial_axes_, " axes, and the bottom is ",
         to_string(shape));
  window_.channels = shape[channel_axis_];
  set_sizes(shape);
  check_columns();
  samples_ = bottom[0]->count(0, channel_axis_);
  top[0]->reshape(shape_of_places(shape, window_.taps()));
}

void Im2colLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  for_each_sample(bottom, top, [=](std::int64_t picture, std::int64_t columns) {
    im2col(x + picture, window_, y + columns);
  });
}

void Im2colLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                           const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for_each_sample(bottom, top, [=](std::int64_t picture, std::int64_t columns) {
    col2im(dy + columns, window_, dx + picture);
  });
}

void Im2colLayer::check_columns() const {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  std::int64_t count = window_.channels;
  for (const WindowAxis& axis : window_.axes)
    for (const std::int64_t factor : {axis.kernel, axis.outputs()})
      if ((count *= factor) > kMost) fail("the kernel and the bottom are too large");
}

template <typename Body>
void Im2colLayer::for_each_sample(const Blobs& bottom, const Blobs& top, const Body& body) const {
  const std::int64_t picture = bottom[0]->count(channel_axis_);
  const std::int64_t columns = top[0]->count(channel_axis_);
  parallel_for(samples_, grain_of(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) body(n * picture, n * columns);
  });
}

REGISTER_LAYER(Im2col, CPU, Im2colLayer);

}  // namespace vibnet
