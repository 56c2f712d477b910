#include <cfloat>

#include "core/cuda.h"
#include "core/step_on_gpu.h"
#include "layers/pooling_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// How windows stand along one axis of the plane.
struct PoolingAxis {
  int size, kernel, pad, stride, outputs;

  /// A window's pixels, and its length within the padded plane.
  __device__ int begin(int output) const { return max(output * stride - pad, 0); }
  __device__ int end(int output) const { return min(output * stride - pad + kernel, size); }
  __device__ int length(int output) const {
    return min(output * stride - pad + kernel, size + pad) - (output * stride - pad);
  }
  /// The windows that a pixel is in.
  __device__ int first_of(int pixel) const {
    return pixel + pad < kernel ? 0 : (pixel + pad - kernel) / stride + 1;
  }
  __device__ int last_of(int pixel) const { return min((pixel + pad) / stride, outputs - 1); }
};

struct PoolingWindows {
  PoolingAxis rows, columns;

  __device__ int outputs() const { return rows.outputs * columns.outputs; }
  __device__ int pixels() const { return rows.size * columns.size; }
  /// Calls body(i) for the pixels of a window of the plane.
  template <typename Body>
  __device__ void each(int output, const Body& body) const {
    const int row_end = rows.end(output / columns.outputs);
    const int column_begin = columns.begin(output % columns.outputs);
    const int column_end = columns.end(output % columns.outputs);
    for (int row = rows.begin(output / columns.outputs); row < row_end; ++row)
      for (int column = column_begin; column < column_end; ++column)
        body(row * columns.size + column);
  }
  /// Calls body(output) for the windows that a pixel is in.
  template <typename Body>
  __device__ void each_of(int pixel, const Body& body) const {
    const int row = pixel / columns.size;
    const int column = pixel % columns.size;
    for (int y = rows.first_of(row); y <= rows.last_of(row); ++y)
      for (int x = columns.first_of(column); x <= columns.last_of(column); ++x)
        body(y * columns.outputs + x);
  }
  __device__ float area(int output) const {
    return float(rows.length(output / columns.outputs)) *
           float(columns.length(output % columns.outputs));
  }
};

/// The largest pixel, and where in the plane it is.
struct Largest {
  __device__ int choose(const PoolingWindows& windows, int /*plane*/, int output,
                        const float* x) const {
    int best = -1;
    windows.each(output, [&](int i) { best = best < 0 || x[i] > x[best] ? i : best; });
    return best;
  }
};

/// The first pixel at which the sum of the window reaches the drawn part of the whole.
struct Drawn {
  RandomKey key;
  StepOnGpu step;
  int samples;
  int channels;

  __device__ int choose(const PoolingWindows& windows, int plane, int output,
                        const float* x) const {
    const std::uint32_t draw =
        static_cast<std::uint32_t>(plane % channels) * windows.outputs() + output;
    float sum = 0;
    windows.each(output, [&](int i) { sum += x[i]; });
    const float part = sum * uniform4(key, step.batch(),
                                      step.first_sample(0, samples) + plane / channels, draw / 4)
                                 .values[draw % 4];
    int chosen = -1;
    float reached = 0;
    windows.each(output, [&](int i) {
      if (chosen >= 0 && reached >= part) return;
      chosen = i;
      reached += x[i];
    });
    return chosen;
  }
};

/// A thread for each window. `mask`, the chosen place as a number, may be null.
template <typename Choice>
__global__ void pool_chosen(int count, PoolingWindows windows, Choice choice, const float* x,
                            float* y, int* chosen, float* mask) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int plane = i / windows.outputs();
  const float* pixels = x + plane * windows.pixels();
  chosen[i] = choice.choose(windows, plane, i % windows.outputs(), pixels);
  y[i] = pixels[chosen[i]];
  if (mask != nullptr) mask[i] = static_cast<float>(chosen[i]);
}

/// A thread for each pixel, which adds up in the order of the windows.
__global__ void pool_chosen_gradient(int count, PoolingWindows windows, const int* chosen,
                                     const float* dy, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int pixel = i % windows.pixels();
  const int first = i / windows.pixels() * windows.outputs();
  float sum = 0;
  windows.each_of(pixel, [&](int output) {
    if (chosen[first + output] == pixel) sum += dy[first + output];
  });
  dx[i] = sum;
}

__global__ void pool_mean(int count, PoolingWindows windows, const float* x, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float* pixels = x + i / windows.outputs() * windows.pixels();
  float sum = 0;
  windows.each(i % windows.outputs(), [&](int place) { sum += pixels[place]; });
  y[i] = sum / windows.area(i % windows.outputs());
}

__global__ void pool_mean_gradient(int count, PoolingWindows windows, const float* dy, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int first = i / windows.pixels() * windows.outputs();
  float sum = 0;
  windows.each_of(i % windows.pixels(),
                  [&](int output) { sum += dy[first + output] / windows.area(output); });
  dx[i] = sum;
}

/// What TEST makes of draws: the sum of squares by the sum of values; 0 where all are 0.
struct Weighted {
  float sum = FLT_MIN;
  float squares = 0;

  __device__ Weighted(const PoolingWindows& windows, int output, const float* pixels) {
    windows.each(output, [&](int i) {
      sum += pixels[i];
      squares += pixels[i] * pixels[i];
    });
  }
};

__global__ void pool_weighted(int count, PoolingWindows windows, const float* x, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const Weighted window(windows, i % windows.outputs(),
                        x + i / windows.outputs() * windows.pixels());
  y[i] = window.squares / window.sum;
}

__global__ void pool_weighted_gradient(int count, PoolingWindows windows, const float* x,
                                       const float* dy, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int plane = i / windows.pixels();
  const float* pixels = x + plane * windows.pixels();
  float sum = 0;
  windows.each_of(i % windows.pixels(), [&](int output) {
    const Weighted window(windows, output, pixels);
    sum += dy[plane * windows.outputs() + output] / window.sum *
           (2 * x[i] - window.squares / window.sum);
  });
  dx[i] = sum;
}

}  // namespace

class PoolingLayerGPU : public PoolingLayer {
 public:
  using PoolingLayer::PoolingLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = top[0]->count();
    if (count == 0) return;
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    float* mask = top.size() > 1 ? top[1]->mutable_gpu_data() : nullptr;
    if (is_max())
      choose(count, Largest{}, x, y, mask);
    else if (chooses())
      choose(count, Drawn{random_key(), StepOnGpu(context_), samples_, channels_}, x, y, mask);
    else if (is_stochastic())
      pool_weighted<<<blocks_for(count), kThreadsPerBlock>>>(count, windows(), x, y);
    else
      pool_mean<<<blocks_for(count), kThreadsPerBlock>>>(count, windows(), x, y);
    check_launch("pooling");
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int count = bottom[0]->count();
    if (!propagate_down[0] || count == 0) return;
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    const int blocks = blocks_for(count);
    if (chooses())
      pool_chosen_gradient<<<blocks, kThreadsPerBlock>>>(
          count, windows(), reinterpret_cast<const int*>(places_.gpu_data()), dy, dx);
    else if (is_stochastic())
      pool_weighted_gradient<<<blocks, kThreadsPerBlock>>>(count, windows(), bottom[0]->gpu_data(),
                                                           dy, dx);
    else
      pool_mean_gradient<<<blocks, kThreadsPerBlock>>>(count, windows(), dy, dx);
    check_launch("the gradient of pooling");
  }

 private:
  PoolingWindows windows() const {
    return {{height_, kernel_h_, pad_h_, stride_h_, out_height_},
            {width_, kernel_w_, pad_w_, stride_w_, out_width_}};
  }

  template <typename Choice>
  void choose(int count, const Choice& choice, const float* x, float* y, float* mask) {
    places_.reshape({count});
    pool_chosen<<<blocks_for(count), kThreadsPerBlock>>>(
        count, windows(), choice, x, y, reinterpret_cast<int*>(places_.mutable_gpu_data()), mask);
  }

  /// Of each window the pixel that was chosen, an int.
  Blob places_;
};

REGISTER_LAYER(Pooling, GPU, PoolingLayerGPU);

}  // namespace vibnet
