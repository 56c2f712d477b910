#include "math/softmax.h"

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// exp(x) divided by its sum along `axis` (Caffe's Softmax).
class SoftmaxLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    const int axis = bottom[0]->canonical_axis(parameter_.softmax_param().axis());
    outer_ = bottom[0]->count(0, axis);
    classes_ = bottom[0]->shape(axis);
    inner_ = bottom[0]->count(axis + 1);
    top[0]->reshape_like(*bottom[0]);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    softmax(bottom[0]->cpu_data(), outer_, classes_, inner_, top[0]->mutable_cpu_data());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* y = top[0]->cpu_data();
    const float* dy = top[0]->cpu_diff();
    float* dx = bottom[0]->mutable_cpu_diff();
    parallel_for(outer_ * inner_, 1024, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t first = row / inner_ * classes_ * inner_ + row % inner_;
        const std::int64_t last = first + classes_ * inner_;
        float dot = 0;
        for (std::int64_t i = first; i < last; i += inner_) dot += dy[i] * y[i];
        for (std::int64_t i = first; i < last; i += inner_) dx[i] = (dy[i] - dot) * y[i];
      }
    });
  }

 private:
  int outer_ = 0;
  int classes_ = 0;
  int inner_ = 0;
};

REGISTER_LAYER(Softmax, CPU, SoftmaxLayer);

}  // namespace vibnet
