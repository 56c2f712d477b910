#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "core/step_on_gpu.h"
#include "layers/dropout_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

struct Drops {
  RandomKey key;
  StepOnGpu step;
  float ratio;
};

/// A thread for each four values of a sample, which one draw decides about.
__global__ void drop(Drops drops, int samples, int size, const float* from, float* to) {
  const int quads = (size + 3) / 4;
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  if (thread >= samples * quads) return;
  const int n = thread / quads;
  const int quad = thread % quads;
  const Step now = drops.step.get();
  const Random4 drawn =
      uniform4(drops.key, now.iteration, drops.step.first_sample(now.pass, samples) + n, quad);
  const float kept = 1 / (1 - drops.ratio);
  for (int j = 0; j < 4 && 4 * quad + j < size; ++j) {
    const int i = n * size + 4 * quad + j;
    to[i] = drawn.values[j] < drops.ratio ? 0 : from[i] * kept;
  }
}

}  // namespace

/// Draws the same in backward as in forward, and stores nothing.
class DropoutLayerGPU : public DropoutLayer {
 public:
  using DropoutLayer::DropoutLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    pass_on(*bottom[0], bottom[0]->gpu_data(), top[0]->mutable_gpu_data());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    pass_on(*bottom[0], top[0]->gpu_diff(), bottom[0]->mutable_gpu_diff());
  }

 private:
  void pass_on(const Blob& shape, const float* from, float* to) const {
    if (shape.count() == 0) return;
    if (context_.phase == TEST) {
      if (from != to) gpu_runtime()->copy_on_device(to, from, shape.count() * sizeof(float));
      return;
    }
    const int samples = shape.axes() > 0 ? shape.shape(0) : 1;
    const int size = shape.count() / samples;
    const Drops drops{random_key(), StepOnGpu(context_), ratio()};
    drop<<<blocks_for(1LL * samples * ((size + 3) / 4)), kThreadsPerBlock>>>(drops, samples, size,
                                                                             from, to);
    check_launch("drop");
  }
};

REGISTER_LAYER(Dropout, GPU, DropoutLayerGPU);

}  // namespace vibnet
