#include "layers/concat_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class ConcatLayerGPU : public ConcatLayer {
 public:
  using ConcatLayer::ConcatLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    if (bottom.size() == 1) return top[0]->share_data(*bottom[0]);
    float* y = top[0]->mutable_gpu_data();
    const int whole = top[0]->count(axis_);
    int offset = 0;
    for (const Blob* part : bottom) {
      const int size = part->count(axis_);
      const float* x = part->gpu_data();
      for_each_gpu(part->count(),
                   [=] __device__(int i) { y[i / size * whole + offset + i % size] = x[i]; });
      offset += size;
    }
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (bottom.size() == 1) {
      if (propagate_down[0]) bottom[0]->share_diff(*top[0]);
      return;
    }
    const float* dy = top[0]->gpu_diff();
    const int whole = top[0]->count(axis_);
    int offset = 0;
    for (std::size_t b = 0; b < bottom.size(); ++b) {
      const int size = bottom[b]->count(axis_);
      const int begin = offset;
      offset += size;
      if (!propagate_down[b]) continue;
      float* dx = bottom[b]->mutable_gpu_diff();
      for_each_gpu(bottom[b]->count(),
                   [=] __device__(int i) { dx[i] = dy[i / size * whole + begin + i % size]; });
    }
  }
};

REGISTER_LAYER(Concat, GPU, ConcatLayerGPU);

}  // namespace vibnet
