#include "layers/tile_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class TileLayerGPU : public TileLayer {
 public:
  using TileLayer::TileLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int tiles = tiles_;
    const int size = size_;
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(),
                 [=] __device__(int i) { y[i] = x[i / size / tiles * size + i % size]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const int tiles = tiles_;
    const int size = size_;
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const int first = i / size * tiles * size + i % size;
      float sum = 0;
      for (int tile = 0; tile < tiles; ++tile) sum += dy[first + tile * size];
      dx[i] = sum;
    });
  }
};

REGISTER_LAYER(Tile, GPU, TileLayerGPU);

}  // namespace vibnet
