#include "layers/crop_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void CropLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Shape& size = bottom[1]->shape();
  const int axes = bottom[0]->axes();
  const int first = bottom[0]->canonical_axis(parameter().axis());
  if (parameter().offset_size() > 1 && parameter().offset_size() != axes - first)
    fail("offset takes one value or one for each of the ", axes - first, " axes from ", first,
         " on, and has ", parameter().offset_size());
  if (static_cast<int>(size.size()) != axes)
    fail("the second bottom, ", to_string(size), ", must have as many axes as the first, ",
         to_string(bottom[0]->shape()));
  whole_ = cut_ = bottom[0]->shape();
  offsets_.assign(axes, 0);
  for (int axis = first; axis < axes; ++axis) {
    cut_[axis] = size[axis];
    offsets_[axis] = offset(axis - first);
    if (std::int64_t{offsets_[axis]} + cut_[axis] > whole_[axis])
      fail("cannot cut ", cut_[axis], " values from ", offsets_[axis], " on out of the ",
           whole_[axis], " of axis ", axis);
  }
  top[0]->reshape(cut_);
}

ChannelRule CropLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  if (bottom[0]->canonical_axis(parameter().axis()) < 2) return ChannelRule::wall();
  return ChannelRule::each(ChannelRule::Constants::SAME, ChannelRule::Homogeneous::ALWAYS);
}

void CropLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  for_each_row(top[0]->count(), [=](std::int64_t from, std::int64_t to, int size) {
    std::copy_n(x + from, size, y + to);
  });
}

void CropLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  bottom[0]->set_diff(0);
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for_each_row(top[0]->count(), [=](std::int64_t from, std::int64_t to, int size) {
    std::copy_n(dy + to, size, dx + from);
  });
}

int CropLayer::offset(int index) const {
  const int given = parameter().offset_size();
  return given == 0 ? 0 : size_of("offset", parameter().offset(given == 1 ? 0 : index));
}

template <typename Body>
void CropLayer::for_each_row(int count, const Body& body) const {
  if (count == 0) return;
  const int row = cut_.back();
  parallel_for(count / row, grain_of(row), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::int64_t rest = r;
      std::int64_t from = offsets_.back();
      std::int64_t step = whole_.back();
      for (int axis = static_cast<int>(cut_.size()) - 2; axis >= 0; --axis) {
        from += (rest % cut_[axis] + offsets_[axis]) * step;
        rest /= cut_[axis];
        step *= whole_[axis];
      }
      body(from, r * row, row);
    }
  });
}

REGISTER_LAYER(Crop, CPU, CropLayer);

}  // namespace vibnet
