#include "layers/argmax_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// The largest value behind the one at `last` in the order of ArgMax, the largest of all for -1: of
/// equals the last comes first.
__device__ int next_largest(const float* x, int values, int step, int last) {
  int largest = -1;
  for (int i = 0; i < values; ++i) {
    const float value = x[i * step];
    if (last >= 0 && !(value < x[last * step] || (value == x[last * step] && i < last))) continue;
    if (largest < 0 || value >= x[largest * step]) largest = i;
  }
  return largest < 0 ? 0 : largest;  // nan has no order
}

}  // namespace

class ArgMaxLayerGPU : public ArgMaxLayer {
 public:
  using ArgMaxLayer::ArgMaxLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int values = values_;
    const int inner = inner_;
    const int top_k = top_k_;
    const bool both = has_both();
    const bool has_values = parameter_.argmax_param().out_max_val();
    const int tops = both ? 2 * top_k : top_k;
    const float* all = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(outer_ * inner, [=] __device__(int row) {
      const float* x = all + row / inner * values * inner + row % inner;
      float* out = y + row / inner * tops * inner + row % inner;
      int index = -1;
      for (int k = 0; k < top_k; ++k) {
        index = next_largest(x, values, inner, index);
        out[k * inner] = has_values && !both ? x[index * inner] : static_cast<float>(index);
        if (both) out[top_k + k] = x[index * inner];
      }
    });
  }
};

REGISTER_LAYER(ArgMax, GPU, ArgMaxLayerGPU);

}  // namespace vibnet
