#include "layers/permute_layer.h"

#include "layers/strided_view.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class PermuteLayerGPU : public PermuteLayer {
 public:
  using PermuteLayer::PermuteLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const StridedView permuted = view(top[0]->shape());
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { y[i] = x[permuted.index(i)]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const StridedView permuted = view(top[0]->shape());
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { dx[permuted.index(i)] = dy[i]; });
  }

 private:
  /// The bottom in the order of the top.
  StridedView view(const Shape& top) const {
    StridedView view;
    for (int axis = static_cast<int>(top.size()) - 1; axis >= 0; --axis)
      view.add_axis_in_front(top[axis], steps_[axis]);
    return view;
  }
};

REGISTER_LAYER(Permute, GPU, PermuteLayerGPU);

}  // namespace vibnet
