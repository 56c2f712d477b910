#include "layers/slice_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class SliceLayerGPU : public SliceLayer {
 public:
  using SliceLayer::SliceLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    if (top.size() == 1) return top[0]->share_data(*bottom[0]);
    const float* x = bottom[0]->gpu_data();
    const int whole = bottom[0]->count(axis_);
    int offset = 0;
    for (Blob* part : top) {
      const int size = part->count(axis_);
      float* y = part->mutable_gpu_data();
      for_each_gpu(part->count(),
                   [=] __device__(int i) { y[i] = x[i / size * whole + offset + i % size]; });
      offset += size;
    }
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    if (top.size() == 1) return bottom[0]->share_diff(*top[0]);
    float* dx = bottom[0]->mutable_gpu_diff();
    const int whole = bottom[0]->count(axis_);
    int offset = 0;
    for (const Blob* part : top) {
      const int size = part->count(axis_);
      const float* dy = part->gpu_diff();
      for_each_gpu(part->count(),
                   [=] __device__(int i) { dx[i / size * whole + offset + i % size] = dy[i]; });
      offset += size;
    }
  }
};

REGISTER_LAYER(Slice, GPU, SliceLayerGPU);

}  // namespace vibnet
