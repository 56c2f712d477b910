#include "layers/reshape_layer.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "vibnet/registry.h"

namespace vibnet {

void ReshapeLayer::reshape(const Blobs& bottom, const Blobs& top) {
  top[0]->reshape(shape_after(*bottom[0]));
  if (top[0]->count() != bottom[0]->count())
    fail("cannot give the bottom, ", to_string(bottom[0]->shape()), ", the shape ",
         to_string(top[0]->shape()));
}

ChannelRule ReshapeLayer::channel_rule(const Blobs& bottom, const Blobs& top) const {
  const Blob& x = *bottom[0];
  const Blob& y = *top[0];
  if (x.axes() < 2 || y.axes() < 2 || x.shape(0) != y.shape(0)) return ChannelRule::wall();
  if (x.shape(1) == y.shape(1))
    return ChannelRule::each(ChannelRule::Constants::SAME, ChannelRule::Homogeneous::ALWAYS);
  if (y.axes() == 2) return ChannelRule::flattened(x.shape(1), x.count(2));
  return ChannelRule::wall();
}

void ReshapeLayer::forward(const Blobs& bottom, const Blobs& top) {
  top[0]->share_data(*bottom[0]);
}

void ReshapeLayer::backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                            const Blobs& bottom) {
  bottom[0]->share_diff(*top[0]);
}

Shape ReshapeLayer::shape_after(const Blob& x) const {
  const ReshapeParameter& p = parameter_.reshape_param();
  const int first = p.axis() >= 0 ? p.axis() : x.axes() + 1 + p.axis();
  if (first < 0 || first > x.axes())
    fail("axis: ", p.axis(), " is out of range for ", to_string(x.shape()));
  if (p.num_axes() < -1 || p.num_axes() > x.axes() - first)
    fail("num_axes: ", p.num_axes(), " reaches past the axes of ", to_string(x.shape()));
  const int last = p.num_axes() == -1 ? x.axes() : first + p.num_axes();
  Shape shape(x.shape().begin(), x.shape().begin() + first);
  int left_over = -1;
  const int most = x.count() > 0 ? x.count() : std::numeric_limits<int>::max();
  for (const std::int64_t dim : p.shape().dim()) {
    const int axis = static_cast<int>(shape.size());
    if (dim == 0 && axis >= x.axes())
      fail("shape has a 0 at axis ", axis, ", which ", to_string(x.shape()), " has not");
    if (dim == -1 && left_over >= 0) fail("shape has more than one -1");
    if (dim < -1 || dim > most)
      fail("shape has a dim of ", dim, ", and the bottom is ", to_string(x.shape()));
    if (dim == -1) left_over = axis;
    shape.push_back(dim == 0 ? x.shape(axis) : dim == -1 ? 1 : static_cast<int>(dim));
  }
  shape.insert(shape.end(), x.shape().begin() + last, x.shape().end());
  if (left_over >= 0) shape[left_over] = what_is_left(x, shape);
  return shape;
}

int ReshapeLayer::what_is_left(const Blob& x, const Shape& shape) const {
  std::int64_t rest = 1;
  for (const int dim : shape)
    if ((rest *= dim) > x.count()) break;
  if (std::count(shape.begin(), shape.end(), 0) > 0 || x.count() % rest != 0)
    fail("the bottom, ", to_string(x.shape()), ", cannot be shared out over the dims beside -1");
  return static_cast<int>(x.count() / rest);
}

REGISTER_LAYER(Reshape, CPU, ReshapeLayer);

}  // namespace vibnet
