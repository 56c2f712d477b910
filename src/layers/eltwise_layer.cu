#include "layers/eltwise_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// What a kernel's parameters hold; a layer with more bottoms runs on the CPU.
constexpr int kMostBottoms = 64;

struct BottomsGPU {
  EltwiseParameter::EltwiseOp operation;
  int count;
  const float* x[kMostBottoms];
  float coefficients[kMostBottoms];

  __device__ EltwiseFormula formula() const { return {operation, count, x, coefficients}; }
};

}  // namespace

class EltwiseLayerGPU : public EltwiseLayer {
 public:
  using EltwiseLayer::EltwiseLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    if (static_cast<int>(bottom.size()) > kMostBottoms) return EltwiseLayer::forward(bottom, top);
    const BottomsGPU bottoms = on_gpu(bottom);
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) { y[i] = bottoms.formula().value(i); });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (static_cast<int>(bottom.size()) > kMostBottoms)
      return EltwiseLayer::backward(top, propagate_down, bottom);
    const BottomsGPU bottoms = on_gpu(bottom);
    const float* dy = top[0]->gpu_diff();
    for (int b = 0; b < static_cast<int>(bottom.size()); ++b) {
      if (!propagate_down[b]) continue;
      float* dx = bottom[b]->mutable_gpu_diff();
      if (dx == dy) continue;  // see hands_on_diff
      for_each_gpu(top[0]->count(),
                   [=] __device__(int i) { dx[i] = dy[i] * bottoms.formula().slope(b, i); });
    }
  }

 private:
  BottomsGPU on_gpu(const Blobs& bottom) const {
    BottomsGPU bottoms{operation(), static_cast<int>(bottom.size()), {}, {}};
    for (std::size_t b = 0; b < bottom.size(); ++b) {
      bottoms.x[b] = bottom[b]->gpu_data();
      bottoms.coefficients[b] = coefficients_[b];
    }
    return bottoms;
  }
};

REGISTER_LAYER(Eltwise, GPU, EltwiseLayerGPU);

}  // namespace vibnet
