#include "layers/crop_layer.h"

#include "layers/strided_view.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class CropLayerGPU : public CropLayer {
 public:
  using CropLayer::CropLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const StridedView cut = this->cut();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { y[i] = x[cut.index(i)]; });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const StridedView cut = this->cut();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    zero_gpu(bottom[0]->count(), dx);
    for_each_gpu(top[0]->count(), [=] __device__(int i) { dx[cut.index(i)] = dy[i]; });
  }

 private:
  StridedView cut() const {
    StridedView view;
    int step = 1;
    for (int axis = static_cast<int>(cut_.size()) - 1; axis >= 0; --axis) {
      view.add_axis_in_front(cut_[axis], step);
      view.begin += offsets_[axis] * step;
      step *= whole_[axis];
    }
    return view;
  }
};

REGISTER_LAYER(Crop, GPU, CropLayerGPU);

}  // namespace vibnet
