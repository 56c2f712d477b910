#include "layers/batch_reindex_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void BatchReindexLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->axes() < 1 || bottom[1]->axes() != 1)
    fail("needs samples and a list of indices, and the bottoms are ", to_string(bottom[0]->shape()),
         " and ", to_string(bottom[1]->shape()));
  Shape shape = bottom[0]->shape();
  shape[0] = bottom[1]->count();
  top[0]->reshape(shape);
}

void BatchReindexLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_indices(*bottom[0], *bottom[1]);
  const int size = bottom[0]->count(1);
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  parallel_for(indices_.size(), grain_of(size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      std::copy_n(x + indices_[i] * size, size, y + i * size);
  });
}

void BatchReindexLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                 const Blobs& bottom) {
  if (!propagate_down[0]) return;
  bottom[0]->set_diff(0);
  const int size = bottom[0]->count(1);
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for (std::size_t i = 0; i < indices_.size(); ++i)
    for (int v = 0; v < size; ++v) dx[indices_[i] * size + v] += dy[i * size + v];
}

void BatchReindexLayer::fail_index(float index, int samples) const {
  fail("index ", index, " is not one of the ", samples, " samples");
}

void BatchReindexLayer::read_indices(const Blob& samples, const Blob& indices) {
  indices_.clear();
  for (int i = 0; i < indices.count(); ++i) {
    const float index = indices.cpu_data()[i];
    if (!(index >= 0 && index < static_cast<float>(samples.shape(0))))
      fail_index(index, samples.shape(0));
    indices_.push_back(static_cast<std::int64_t>(index));
  }
}

REGISTER_LAYER(BatchReindex, CPU, BatchReindexLayer);

}  // namespace vibnet
