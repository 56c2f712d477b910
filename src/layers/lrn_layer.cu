#include "core/cuda.h"
#include "layers/lrn_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// The values around one: [begin, end) along each of three axes, the last two within a plane.
struct Around {
  int channels, height, width;
  /// How far it reaches over channels, and over rows and columns.
  int over_channels, over_pixels;

  /// The sum of `value(place)` around place i.
  template <typename Value>
  __device__ float sum(int i, const Value& value) const {
    const int x = i % width;
    const int y = i / width % height;
    const int c = i / (width * height) % channels;
    float total = 0;
    for (int dc = max(-over_channels, -c); dc <= min(over_channels, channels - 1 - c); ++dc)
      for (int dy = max(-over_pixels, -y); dy <= min(over_pixels, height - 1 - y); ++dy)
        for (int dx = max(-over_pixels, -x); dx <= min(over_pixels, width - 1 - x); ++dx)
          total += value(i + (dc * height + dy) * width + dx);
    return total;
  }
};

__global__ void lrn_forward(int count, Around around, float shift, float factor, float beta,
                            const float* x, float* scale, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  scale[i] = shift + factor * around.sum(i, [=](int place) { return x[place] * x[place]; });
  y[i] = x[i] * powf(scale[i], -beta);
}

__global__ void lrn_backward(int count, Around around, float factor, float beta, const float* x,
                             const float* y, const float* dy, const float* scale, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float ratios =
      around.sum(i, [=](int place) { return dy[place] * y[place] / scale[place]; });
  dx[i] = dy[i] * powf(scale[i], -beta) - 2 * beta * factor * x[i] * ratios;
}

}  // namespace

class LRNLayerGPU : public LRNLayer {
 public:
  using LRNLayer::LRNLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count();
    if (count == 0) return;
    lrn_forward<<<blocks_for(count), kThreadsPerBlock>>>(
        count, around(*bottom[0]), shift_, factor_, beta(), bottom[0]->gpu_data(),
        scale_.mutable_gpu_data(), top[0]->mutable_gpu_data());
    check_launch("lrn_forward");
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int count = bottom[0]->count();
    if (!propagate_down[0] || count == 0) return;
    lrn_backward<<<blocks_for(count), kThreadsPerBlock>>>(
        count, around(*bottom[0]), factor_, beta(), bottom[0]->gpu_data(), top[0]->gpu_data(),
        top[0]->gpu_diff(), scale_.gpu_data(), bottom[0]->mutable_gpu_diff());
    check_launch("lrn_backward");
  }

 private:
  Around around(const Blob& x) const {
    return {x.shape(1), x.shape(2), x.shape(3), is_across() ? radius_ : 0,
            is_across() ? 0 : radius_};
  }
};

REGISTER_LAYER(LRN, GPU, LRNLayerGPU);

}  // namespace vibnet
