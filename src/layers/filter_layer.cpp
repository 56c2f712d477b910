#include "layers/filter_layer.h"

#include <algorithm>

#include "vibnet/registry.h"

namespace vibnet {

void FilterLayer::set_up(const Blobs& bottom, const Blobs& top) {
  filtered_ = static_cast<int>(top.size());
  if (bottom.size() != top.size() + 1)
    fail("needs a bottom for each of the ", filtered_, " tops, and the selector");
  has_data_ = false;
}

void FilterLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& selector = *bottom[filtered_];
  if (selector.axes() < 1 || selector.count(1) != 1)
    fail("the selector must be N x 1 x ..., not ", to_string(selector.shape()));
  passed_.clear();
  for (int n = 0; n < selector.shape(0); ++n)
    if (selector.cpu_data()[n] != 0) passed_.push_back(n);
  for (int i = 0; i < filtered_; ++i) {
    Shape shape = bottom[i]->shape();
    if (shape.empty() || shape[0] != selector.shape(0))
      fail("bottom ", i, " is ", to_string(shape), ", and the selector is for ", selector.shape(0),
           " samples");
    if (has_data_) shape[0] = static_cast<int>(passed_.size());
    top[i]->reshape(shape);
  }
  has_data_ = true;
}

void FilterLayer::forward(const Blobs& bottom, const Blobs& top) {
  for (int i = 0; i < filtered_; ++i) {
    const int size = bottom[i]->count(1);
    float* y = top[i]->mutable_cpu_data();
    for (const int n : passed_) y = std::copy_n(bottom[i]->cpu_data() + n * size, size, y);
  }
}

void FilterLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                           const Blobs& bottom) {
  for (int i = 0; i < filtered_; ++i) {
    if (!propagate_down[i]) continue;
    bottom[i]->set_diff(0);
    const int size = bottom[i]->count(1);
    const float* dy = top[i]->cpu_diff();
    float* dx = bottom[i]->mutable_cpu_diff();
    for (std::size_t k = 0; k < passed_.size(); ++k)
      std::copy_n(dy + k * size, size, dx + passed_[k] * size);
  }
}

REGISTER_LAYER(Filter, CPU, FilterLayer);

}  // namespace vibnet
