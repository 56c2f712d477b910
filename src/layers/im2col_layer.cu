#include "layers/im2col_layer.h"

#include <algorithm>

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

constexpr int kMostAxes = 32;

/// A Window as a kernel's parameter.
struct WindowGPU {
  explicit WindowGPU(const Window& window)
      : axes(static_cast<int>(window.axes.size())),
        channels(window.channels),
        values(window.values()),
        taps(window.taps()),
        positions(window.positions()) {
    std::copy(window.axes.begin(), window.axes.end(), along);
  }

  /// Where the i-th value of the columns of all samples comes from; -1 for padding.
  __device__ int pixel_of(int i) const {
    int place = i % positions;
    int tap = i / positions % taps;
    int pixel = 0;
    int step = 1;
    bool is_inside = true;
    for (int axis = axes - 1; axis >= 0; --axis) {
      const WindowAxis& a = along[axis];
      const int at = place % a.outputs() * a.stride - a.pad + tap % a.kernel * a.dilation;
      is_inside = is_inside && at >= 0 && at < a.size;
      place /= a.outputs();
      tap /= a.kernel;
      pixel += at * step;
      step *= a.size;
    }
    return is_inside ? i / positions / taps * values + tap * step + pixel : -1;
  }

  /// The sum of all columns' values that come from pixel i, in the order of the taps.
  __device__ float sum_of_columns(const float* columns, int i) const {
    const int taps_of_plane = taps / channels;
    const float* plane = columns + i / (values / channels) * taps_of_plane * positions;
    float sum = 0;
    for (int tap = 0; tap < taps_of_plane; ++tap) {
      const int place = place_that_sees(i, tap);
      if (place >= 0) sum += plane[tap * positions + place];
    }
    return sum;
  }

  /// Where the window must stand to see pixel i by a tap of its plane; -1 for nowhere.
  __device__ int place_that_sees(int i, int tap) const {
    int pixel = i % (values / channels);
    int place = 0;
    int step = 1;
    for (int axis = axes - 1; axis >= 0; --axis) {
      const WindowAxis& a = along[axis];
      const int begin = pixel % a.size + a.pad - tap % a.kernel * a.dilation;
      if (begin < 0 || begin % a.stride != 0 || begin / a.stride >= a.outputs()) return -1;
      pixel /= a.size;
      tap /= a.kernel;
      place += begin / a.stride * step;
      step *= a.outputs();
    }
    return place;
  }

  int axes;
  int channels;
  int values;
  int taps;
  int positions;
  WindowAxis along[kMostAxes];
};

}  // namespace

class Im2colLayerGPU : public Im2colLayer {
 public:
  using Im2colLayer::Im2colLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const WindowGPU window(window_);
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    for_each_gpu(top[0]->count(), [=] __device__(int i) {
      const int pixel = window.pixel_of(i);
      y[i] = pixel < 0 ? 0 : x[pixel];
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const WindowGPU window(window_);
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    for_each_gpu(bottom[0]->count(),
                 [=] __device__(int i) { dx[i] = window.sum_of_columns(dy, i); });
  }
};

REGISTER_LAYER(Im2col, GPU, Im2colLayerGPU);

}  // namespace vibnet
