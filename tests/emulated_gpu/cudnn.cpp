#include <cblas.h>
#include <cudnn.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "block.h"
#include "stream.h"

using Sizes = std::vector<int>;

struct EmulatedCudnn {
  cudaStream_t stream = cudaStreamPerThread;
};
struct EmulatedTensor {
  Sizes sizes, strides;
};
struct EmulatedFilter {
  Sizes sizes, strides;
};
struct EmulatedWindow {
  Sizes pads, strides, dilations;
  int groups = 1;
};

namespace {

/// Steps through all places of some axes, the last fastest.
bool advance(const Sizes& sizes, Sizes* place) {
  for (int axis = static_cast<int>(sizes.size()) - 1; axis >= 0; --axis) {
    if (++(*place)[axis] < sizes[axis]) return true;
    (*place)[axis] = 0;
  }
  return false;
}

int product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), 1, std::multiplies<>());
}

/// Offsets of all places of the axes from `first` on.
std::vector<int> offsets_of(const Sizes& sizes, const Sizes& strides, int first) {
  const Sizes inner(sizes.begin() + first, sizes.end());
  std::vector<int> offsets;
  Sizes place(inner.size(), 0);
  do offsets.push_back(std::inner_product(place.begin(), place.end(), strides.begin() + first, 0));
  while (advance(inner, &place));
  return offsets;
}

/// A convolution of one group of one sample is a product of matrices: weights by unfolded maps.
class Unfolded {
 public:
  Unfolded(EmulatedTensor x, EmulatedFilter w, EmulatedWindow window, EmulatedTensor y)
      : x_(std::move(x)), w_(std::move(w)), window_(std::move(window)), y_(std::move(y)) {
    filters_ = w_.sizes[0] / window_.groups;
    taps_ = product(w_.sizes) / w_.sizes[0];
    const Sizes outputs(y_.sizes.begin() + 2, y_.sizes.end());
    places_ = product(outputs);
    for (int f = 0; f < w_.sizes[0]; ++f)
      for (const int offset : offsets_of(w_.sizes, w_.strides, 1))
        of_weights_.push_back(f * w_.strides[0] + offset);
    for (int f = 0; f < filters_; ++f)
      for (const int offset : offsets_of(y_.sizes, y_.strides, 2))
        of_results_.push_back(f * y_.strides[1] + offset);
    const Sizes taps(w_.sizes.begin() + 1, w_.sizes.end());
    Sizes tap(taps.size(), 0);
    do {
      Sizes output(outputs.size(), 0);
      do of_maps_.push_back(offset_of(tap, output));
      while (advance(outputs, &output));
    } while (advance(taps, &tap));
  }

  bool fits() const {
    const std::size_t axes = window_.pads.size() + 2;
    if (x_.sizes.size() != axes || y_.sizes.size() != axes || w_.sizes.size() != axes) return false;
    if (!(is_first(x_.strides) && is_first(y_.strides) && is_first(w_.strides)) &&
        !(is_last(x_.strides) && is_last(y_.strides) && is_last(w_.strides)))
      return false;
    if (x_.sizes[0] != y_.sizes[0] || x_.sizes[1] != w_.sizes[1] * window_.groups ||
        y_.sizes[1] != w_.sizes[0] || w_.sizes[0] % window_.groups != 0)
      return false;
    for (std::size_t i = 2; i < x_.sizes.size(); ++i) {
      const int reach = window_.dilations[i - 2] * (w_.sizes[i] - 1) + 1;
      const int room = x_.sizes[i] + 2 * window_.pads[i - 2] - reach;
      if (y_.sizes[i] != room / window_.strides[i - 2] + 1) return false;
    }
    return true;
  }

  void forward(float alpha, const float* x, const float* w, float beta, float* y) const {
    const std::vector<float> weights = weights_of(w);
    std::vector<float> results(filters_ * places_);
    each_group([&](int n, int group) {
      const std::vector<float> maps = maps_of(x, n, group);
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, filters_, places_, taps_, alpha,
                  &weights[group * filters_ * taps_], taps_, maps.data(), places_, 0,
                  results.data(), places_);
      float* to = y + results_begin(n, group);
      for (std::size_t i = 0; i < results.size(); ++i) put(results[i], beta, &to[of_results_[i]]);
    });
  }

  void backward_data(float alpha, const float* w, const float* dy, float beta, float* dx) const {
    const std::vector<float> weights = weights_of(w);
    std::vector<float> maps(taps_ * places_);
    const std::vector<int> of_sample = offsets_of(x_.sizes, x_.strides, 1);
    for (int n = 0; n < x_.sizes[0]; ++n)
      for (const int offset : of_sample) put(0, beta, &dx[n * x_.strides[0] + offset]);
    each_group([&](int n, int group) {
      const std::vector<float> results = results_of(dy, n, group);
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, taps_, places_, filters_, alpha,
                  &weights[group * filters_ * taps_], taps_, results.data(), places_, 0,
                  maps.data(), places_);
      float* to = dx + maps_begin(n, group);
      for (std::size_t i = 0; i < maps.size(); ++i)
        if (of_maps_[i] != kOutside) to[of_maps_[i]] += maps[i];
    });
  }

  void backward_weights(float alpha, const float* x, const float* dy, float beta, float* dw) const {
    std::vector<float> weights(of_weights_.size());
    each_group([&](int n, int group) {
      const std::vector<float> maps = maps_of(x, n, group);
      const std::vector<float> results = results_of(dy, n, group);
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, filters_, taps_, places_, alpha,
                  results.data(), places_, maps.data(), places_, 1,
                  &weights[group * filters_ * taps_], taps_);
    });
    for (std::size_t i = 0; i < weights.size(); ++i) put(weights[i], beta, &dw[of_weights_[i]]);
  }

  /// What an algorithm works in: one that asks for more than there is, one that is not
  /// deterministic, and one that is.
  std::size_t workspace(int algorithm) const {
    const std::size_t unfolded = of_maps_.size() * sizeof(float);
    const std::size_t all[] = {std::size_t{1} << 40, 2 * unfolded, unfolded};
    return all[algorithm];
  }

 private:
  static constexpr int kOutside = -1;

  /// Whether channels stand first, or last; with one channel, or one place, both may be.
  static bool is_first(const Sizes& strides) { return strides.back() == 1; }
  static bool is_last(const Sizes& strides) { return strides[1] == 1; }

  /// What was there may be NaN where it is not asked for.
  static void put(float value, float beta, float* to) {
    *to = beta == 0 ? value : value + beta * *to;
  }

  /// Of what the tap of a window reads, from the group's first channel on.
  int offset_of(const Sizes& tap, const Sizes& output) const {
    int offset = tap[0] * x_.strides[1];
    for (std::size_t i = 0; i < output.size(); ++i) {
      const int at =
          output[i] * window_.strides[i] - window_.pads[i] + tap[i + 1] * window_.dilations[i];
      if (at < 0 || at >= x_.sizes[i + 2]) return kOutside;
      offset += at * x_.strides[i + 2];
    }
    return offset;
  }

  template <typename Body>
  void each_group(const Body& body) const {
    for (int n = 0; n < x_.sizes[0]; ++n)
      for (int group = 0; group < window_.groups; ++group) body(n, group);
  }

  int maps_begin(int n, int group) const {
    return n * x_.strides[0] + group * w_.sizes[1] * x_.strides[1];
  }
  int results_begin(int n, int group) const {
    return n * y_.strides[0] + group * filters_ * y_.strides[1];
  }
  std::vector<float> weights_of(const float* w) const { return gather(w, of_weights_); }
  std::vector<float> maps_of(const float* x, int n, int group) const {
    return gather(x + maps_begin(n, group), of_maps_);
  }
  std::vector<float> results_of(const float* y, int n, int group) const {
    return gather(y + results_begin(n, group), of_results_);
  }
  static std::vector<float> gather(const float* from, const std::vector<int>& offsets) {
    std::vector<float> values(offsets.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = offsets[i] == kOutside ? 0 : from[offsets[i]];
    return values;
  }

  EmulatedTensor x_;
  EmulatedFilter w_;
  EmulatedWindow window_;
  EmulatedTensor y_;
  int filters_, taps_, places_;
  std::vector<int> of_weights_, of_results_, of_maps_;
};

constexpr int kAlgorithms = 3;

/// As cuDNN: the fastest first, TF32 among them, and what failed last.
template <typename Result>
cudnnStatus_t list(const Unfolded& unfolded, int most, int* count, Result* results) {
  using Algorithm = decltype(results->algo);
  if (!unfolded.fits()) return CUDNN_STATUS_BAD_PARAM;
  const std::vector<Result> all = {
      {Algorithm{1}, CUDNN_STATUS_SUCCESS, 1, unfolded.workspace(1), CUDNN_NON_DETERMINISTIC,
       CUDNN_DEFAULT_MATH},
      {Algorithm{2}, CUDNN_STATUS_SUCCESS, 2, unfolded.workspace(2), CUDNN_DETERMINISTIC,
       CUDNN_DEFAULT_MATH},
      {Algorithm{2}, CUDNN_STATUS_SUCCESS, 3, unfolded.workspace(2), CUDNN_DETERMINISTIC,
       CUDNN_FMA_MATH},
      {Algorithm{0}, CUDNN_STATUS_NOT_SUPPORTED, -1, unfolded.workspace(0), CUDNN_DETERMINISTIC,
       CUDNN_FMA_MATH},
  };
  *count = std::min(most, static_cast<int>(all.size()));
  std::copy_n(all.begin(), *count, results);
  return CUDNN_STATUS_SUCCESS;
}

/// The same after trials, which write to `written` and wait.
template <typename Result>
cudnnStatus_t try_all(const Unfolded& unfolded, cudnnHandle_t handle, float* written, int most,
                      int* count, Result* results) {
  if (emulated_gpu::refuses_to_wait()) return CUDNN_STATUS_NOT_SUPPORTED;
  emulated_gpu::enqueue(handle->stream, [written] { std::memset(written, 0xff, sizeof(float)); });
  emulated_gpu::finish(handle->stream);
  return list(unfolded, most, count, results);
}

/// Does `work`, which takes the convolution; what it works in holds NaNs afterwards.
template <typename Work>
cudnnStatus_t convolve(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                       cudnnConvolutionDescriptor_t window, cudnnTensorDescriptor_t y,
                       int algorithm, void* workspace, std::size_t bytes, const Work& work) {
  if (algorithm < 0 || algorithm >= kAlgorithms) return CUDNN_STATUS_BAD_PARAM;
  const Unfolded unfolded(*x, *w, *window, *y);
  if (!unfolded.fits() || bytes < unfolded.workspace(algorithm) ||
      !emulated_gpu::is_on_device(workspace, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  const cudaError_t status = emulated_gpu::enqueue(handle->stream, [=] {
    std::memset(workspace, 0xff, bytes);
    work(unfolded);
  });
  return status == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

float number(const void* value) { return *static_cast<const float*>(value); }
const float* floats(const void* values) { return static_cast<const float*>(values); }
float* floats(void* values) { return static_cast<float*>(values); }

template <typename Descriptor>
cudnnStatus_t create(Descriptor** descriptor) {
  *descriptor = new Descriptor;
  return CUDNN_STATUS_SUCCESS;
}
template <typename Descriptor>
cudnnStatus_t destroy(Descriptor* descriptor) {
  delete descriptor;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return emulated_gpu::refuses_to_wait() ? CUDNN_STATUS_NOT_INITIALIZED : create(handle);
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
const char* cudnnGetErrorString(cudnnStatus_t) { return "a failure of the emulated cuDNN"; }

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) {
  return create(tensor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
  return destroy(tensor);
}
cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t, int axes,
                                         const int* sizes, const int* strides) {
  if (axes < 4) return CUDNN_STATUS_BAD_PARAM;
  *tensor = {Sizes(sizes, sizes + axes), Sizes(strides, strides + axes)};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* filter) {
  return create(filter);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
  return destroy(filter);
}
cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t,
                                         cudnnTensorFormat_t format, int axes, const int* sizes) {
  if (axes < 4) return CUDNN_STATUS_BAD_PARAM;
  Sizes order(axes);
  std::iota(order.begin(), order.end(), 0);
  if (format == CUDNN_TENSOR_NHWC) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  *filter = {Sizes(sizes, sizes + axes), Sizes(axes)};
  int stride = 1;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    filter->strides[*axis] = stride;
    stride *= sizes[*axis];
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* window) {
  return create(window);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t window) {
  return destroy(window);
}
cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t window, int axes,
                                              const int* pads, const int* strides,
                                              const int* dilations, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t) {
  if (axes < 2 || mode != CUDNN_CROSS_CORRELATION) return CUDNN_STATUS_NOT_SUPPORTED;
  *window = {Sizes(pads, pads + axes), Sizes(strides, strides + axes),
             Sizes(dilations, dilations + axes)};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t window, int groups) {
  window->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t, cudnnMathType_t) {
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t window,
                                                     cudnnTensorDescriptor_t y, int most,
                                                     int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* results) {
  return list({*x, *w, *window, *y}, most, count, results);
}
cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t handle, cudnnTensorDescriptor_t x, const void*, cudnnFilterDescriptor_t w,
    const void*, cudnnConvolutionDescriptor_t window, cudnnTensorDescriptor_t y, void* written,
    int most, int* count, cudnnConvolutionFwdAlgoPerf_t* results, void*, std::size_t) {
  return try_all({*x, *w, *window, *y}, handle, floats(written), most, count, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t window, cudnnTensorDescriptor_t x, int most, int* count,
    cudnnConvolutionBwdDataAlgoPerf_t* results) {
  return list({*x, *w, *window, *y}, most, count, results);
}
cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t handle, cudnnFilterDescriptor_t w, const void*, cudnnTensorDescriptor_t y,
    const void*, cudnnConvolutionDescriptor_t window, cudnnTensorDescriptor_t x, void* dx, int most,
    int* count, cudnnConvolutionBwdDataAlgoPerf_t* results, void*, std::size_t) {
  return try_all({*x, *w, *window, *y}, handle, floats(dx), most, count, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y,
    cudnnConvolutionDescriptor_t window, cudnnFilterDescriptor_t w, int most, int* count,
    cudnnConvolutionBwdFilterAlgoPerf_t* results) {
  return list({*x, *w, *window, *y}, most, count, results);
}
cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, cudnnTensorDescriptor_t x, const void*, cudnnTensorDescriptor_t y,
    const void*, cudnnConvolutionDescriptor_t window, cudnnFilterDescriptor_t w, void* dw, int most,
    int* count, cudnnConvolutionBwdFilterAlgoPerf_t* results, void*, std::size_t) {
  return try_all({*x, *w, *window, *y}, handle, floats(dw), most, count, results);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha,
                                      cudnnTensorDescriptor_t of_x, const void* x,
                                      cudnnFilterDescriptor_t of_w, const void* w,
                                      cudnnConvolutionDescriptor_t window,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace,
                                      std::size_t bytes, const void* beta,
                                      cudnnTensorDescriptor_t of_y, void* y) {
  return convolve(handle, of_x, of_w, window, of_y, algorithm, workspace, bytes,
                  [=, alpha = number(alpha), beta = number(beta)](const Unfolded& unfolded) {
                    unfolded.forward(alpha, floats(x), floats(w), beta, floats(y));
                  });
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha,
                                           cudnnFilterDescriptor_t of_w, const void* w,
                                           cudnnTensorDescriptor_t of_y, const void* dy,
                                           cudnnConvolutionDescriptor_t window,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           std::size_t bytes, const void* beta,
                                           cudnnTensorDescriptor_t of_x, void* dx) {
  return convolve(handle, of_x, of_w, window, of_y, algorithm, workspace, bytes,
                  [=, alpha = number(alpha), beta = number(beta)](const Unfolded& unfolded) {
                    unfolded.backward_data(alpha, floats(w), floats(dy), beta, floats(dx));
                  });
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha,
                                             cudnnTensorDescriptor_t of_x, const void* x,
                                             cudnnTensorDescriptor_t of_y, const void* dy,
                                             cudnnConvolutionDescriptor_t window,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm,
                                             void* workspace, std::size_t bytes, const void* beta,
                                             cudnnFilterDescriptor_t of_w, void* dw) {
  return convolve(handle, of_x, of_w, window, of_y, algorithm, workspace, bytes,
                  [=, alpha = number(alpha), beta = number(beta)](const Unfolded& unfolded) {
                    unfolded.backward_weights(alpha, floats(x), floats(dy), beta, floats(dw));
                  });
}
