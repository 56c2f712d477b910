#include "layers/argmax_layer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void ArgMaxLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const ArgMaxParameter& parameter = parameter_.argmax_param();
  const Blob& x = *bottom[0];
  const int first = x.canonical_axis(parameter.has_axis() ? parameter.axis() : 0);
  outer_ = parameter.has_axis() ? x.count(0, first) : x.shape(0);
  values_ = parameter.has_axis() ? x.shape(first) : x.count(1);
  inner_ = parameter.has_axis() ? x.count(first + 1) : 1;
  top_k_ = size_of("top_k", parameter.top_k());
  if (top_k_ < 1 || top_k_ > values_)
    fail("top_k: ", top_k_, " is not one of 1 to ", values_, ", the values to choose from");
  Shape shape = x.shape();
  if (parameter.has_axis()) {
    shape[first] = top_k_;
  } else {
    shape.assign(std::max(3, x.axes()), 1);
    shape[0] = outer_;
    shape[1] = has_both() ? 2 : 1;
    shape[2] = top_k_;
  }
  top[0]->reshape(shape);
}

void ArgMaxLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  const bool has_values = parameter_.argmax_param().out_max_val();
  const int tops = has_both() ? 2 * top_k_ : top_k_;
  parallel_for(outer_ * inner_, grain_of(8LL * values_), [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::pair<float, int>> ranked(values_);
    for (std::int64_t row = begin; row < end; ++row) {
      rank(x + row / inner_ * values_ * inner_ + row % inner_, &ranked);
      float* out = y + row / inner_ * tops * inner_ + row % inner_;
      for (int k = 0; k < top_k_; ++k) {
        const auto& [value, index] = ranked[k];
        out[k * inner_] = has_values && !has_both() ? value : static_cast<float>(index);
        if (has_both()) out[top_k_ + k] = value;
      }
    }
  });
}

bool ArgMaxLayer::has_both() const {
  return parameter_.argmax_param().out_max_val() && !parameter_.argmax_param().has_axis();
}

void ArgMaxLayer::rank(const float* x, std::vector<std::pair<float, int>>* ranked) const {
  for (int i = 0; i < values_; ++i) (*ranked)[i] = {x[std::int64_t{i} * inner_], i};
  std::partial_sort(ranked->begin(), ranked->begin() + top_k_, ranked->end(), std::greater<>());
}

REGISTER_LAYER(ArgMax, CPU, ArgMaxLayer);

}  // namespace vibnet
