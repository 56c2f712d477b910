#include "layers/interp_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

struct Planes {
  int height, width;
};

Planes planes(const Blob& blob) { return {blob.shape(2), blob.shape(3)}; }

}  // namespace

class InterpLayerGPU : public InterpLayer {
 public:
  using InterpLayer::InterpLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const Planes from = planes(*bottom[0]);
    const Planes to = planes(*top[0]);
    const InterpAxis rows = rows_, columns = columns_;
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) {
      const Mix r = rows.mix(i / to.width % to.height);
      const Mix c = columns.mix(i % to.width);
      const float* plane = x + i / (to.width * to.height) * from.height * from.width;
      const float* upper = plane + r.first * from.width;
      const float* lower = plane + r.second * from.width;
      y[i] = (1 - r.part) * ((1 - c.part) * upper[c.first] + c.part * upper[c.second]) +
             r.part * ((1 - c.part) * lower[c.first] + c.part * lower[c.second]);
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const Planes from = planes(*bottom[0]);
    const Planes to = planes(*top[0]);
    const InterpAxis rows = rows_, columns = columns_;
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const int row = i / from.width % from.height;
      const int column = i % from.width;
      const float* plane = dy + i / (from.width * from.height) * to.height * to.width;
      float sum = 0;
      for (int r = rows.first_reader(row); r <= rows.last_reader(row); ++r)
        for (int c = columns.first_reader(column); c <= columns.last_reader(column); ++c)
          sum += rows.weight(r, row) * columns.weight(c, column) * plane[r * to.width + c];
      dx[i] = sum;
    });
  }
};

REGISTER_LAYER(Interp, GPU, InterpLayerGPU);

}  // namespace vibnet
