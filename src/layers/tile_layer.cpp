#include "layers/tile_layer.h"

#include <algorithm>
#include <limits>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void TileLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const TileParameter& p = parameter_.tile_param();
  if (p.tiles() < 1) fail("tiles is missing, or not above 0");
  tiles_ = p.tiles();
  const int axis = bottom[0]->canonical_axis(p.axis());
  rows_ = bottom[0]->count(0, axis);
  size_ = bottom[0]->count(axis);
  Shape shape = bottom[0]->shape();
  if (std::int64_t{shape[axis]} * tiles_ > std::numeric_limits<int>::max())
    fail("tiles: ", tiles_, " is too large");
  shape[axis] *= tiles_;
  top[0]->reshape(shape);
}

void TileLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  for_each_row([=](std::int64_t row) {
    for (std::int64_t tile = row * tiles_; tile < (row + 1) * tiles_; ++tile)
      std::copy_n(x + row * size_, size_, y + tile * size_);
  });
}

void TileLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for_each_row([=](std::int64_t row) {
    std::copy_n(dy + row * tiles_ * size_, size_, dx + row * size_);
    for (std::int64_t tile = row * tiles_ + 1; tile < (row + 1) * tiles_; ++tile)
      for (int i = 0; i < size_; ++i) dx[row * size_ + i] += dy[tile * size_ + i];
  });
}

template <typename Body>
void TileLayer::for_each_row(const Body& body) const {
  if (size_ == 0) return;
  parallel_for(rows_, grain_of(1LL * tiles_ * size_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) body(row);
  });
}

REGISTER_LAYER(Tile, CPU, TileLayer);

}  // namespace vibnet
