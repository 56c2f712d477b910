#include "math/convolution_gpu.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "core/cuda.h"
#include "core/cudnn.h"
#include "core/gpu_runtime.h"
#include "math/channels_last.h"
#include "math/loops_gpu.h"
#include "math/scratch_gpu.h"
#include "vibnet/device.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// One handle for each thread and device, kept to the end of the program.
cudnnHandle_t cudnn() {
  thread_local std::map<int, cudnnHandle_t> handles;
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  cudnnHandle_t& handle = handles[device];
  if (handle != nullptr) return handle;
  check_cudnn(cudnnCreate(&handle), "cudnnCreate");
  check_cudnn(cudnnSetStream(handle, cudaStreamPerThread), "cudnnSetStream");
  return handle;
}

/// A descriptor that destroys itself.
template <typename Descriptor>
using Owned = std::unique_ptr<std::remove_pointer_t<Descriptor>, cudnnStatus_t (*)(Descriptor)>;

template <typename Descriptor>
Owned<Descriptor> own(cudnnStatus_t (*create)(Descriptor*), cudnnStatus_t (*destroy)(Descriptor)) {
  Descriptor descriptor = nullptr;
  check_cudnn(create(&descriptor), "a descriptor");
  return Owned<Descriptor>(descriptor, destroy);
}

/// Sizes are those of channels first in either case.
enum class Layout { CHANNELS_FIRST, CHANNELS_LAST };

Owned<cudnnTensorDescriptor_t> tensor(const std::vector<int>& sizes, Layout layout) {
  auto owned = own(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor);
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  if (layout == Layout::CHANNELS_LAST)
    std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  std::vector<int> strides(sizes.size(), 1);
  for (std::size_t i = order.size() - 1; i > 0; --i)
    strides[order[i - 1]] = strides[order[i]] * sizes[order[i]];
  check_cudnn(
      cudnnSetTensorNdDescriptor(owned.get(), CUDNN_DATA_FLOAT, static_cast<int>(sizes.size()),
                                 sizes.data(), strides.data()),
      "cudnnSetTensorNdDescriptor");
  return owned;
}

Owned<cudnnFilterDescriptor_t> filter(const std::vector<int>& sizes, Layout layout) {
  auto owned = own(cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor);
  check_cudnn(cudnnSetFilterNdDescriptor(
                  owned.get(), CUDNN_DATA_FLOAT,
                  layout == Layout::CHANNELS_LAST ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW,
                  static_cast<int>(sizes.size()), sizes.data()),
              "cudnnSetFilterNdDescriptor");
  return owned;
}

Owned<cudnnConvolutionDescriptor_t> window_of(const Convolution& convolution) {
  auto owned = own(cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor);
  std::vector<int> pads, strides, dilations;
  for (const WindowAxis& axis : convolution.window.axes) {
    pads.push_back(axis.pad);
    strides.push_back(axis.stride);
    dilations.push_back(axis.dilation);
  }
  check_cudnn(cudnnSetConvolutionNdDescriptor(owned.get(), static_cast<int>(pads.size()),
                                              pads.data(), strides.data(), dilations.data(),
                                              CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
              "cudnnSetConvolutionNdDescriptor");
  check_cudnn(cudnnSetConvolutionGroupCount(owned.get(), convolution.groups),
              "cudnnSetConvolutionGroupCount");
  check_cudnn(cudnnSetConvolutionMathType(owned.get(),
                                          gpu_math().tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH),
              "cudnnSetConvolutionMathType");
  return owned;
}

/// Device memory that only a measurement needs.
class Temporary {
 public:
  explicit Temporary(std::size_t bytes)
      : memory_(bytes == 0 ? nullptr : gpu_runtime()->allocate(bytes)), bytes_(bytes) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (memory_ != nullptr) gpu_runtime()->release(memory_);
  }
  void* get() const { return memory_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* memory_;
  std::size_t bytes_;
};

/// As much of the workspace that a convolution may have as there is.
std::unique_ptr<Temporary> largest_workspace() {
  for (std::size_t bytes = gpu_math().workspace; bytes > (1 << 20); bytes /= 2) try {
      return std::make_unique<Temporary>(bytes);
    } catch (const GpuOutOfMemory&) {
    }
  return std::make_unique<Temporary>(0);
}

/// An algorithm of cuDNN's, and the bytes that it works in.
struct Algorithm {
  int number = -1;
  std::size_t workspace = 0;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

enum class Direction { FORWARD, DATA, WEIGHTS };

/// What tells a convolution's choices from those of others.
using Key = std::vector<int>;

Key key_of(const Convolution& of, Direction direction) {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  Key key = {static_cast<int>(direction),
             gpu_math().tf32,
             gpu_math().deterministic,
             of.samples,
             of.groups,
             of.filters,
             of.window.channels,
             device};
  for (const WindowAxis& axis : of.window.axes)
    key.insert(key.end(), {axis.size, axis.kernel, axis.pad, axis.stride, axis.dilation});
  return key;
}

/// What has been chosen for equal convolutions, so that a net measures each kind once.
template <typename Choice>
class Choices {
 public:
  template <typename Choose>
  Choice of(const Key& key, const Choose& choose) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = choices_.find(key);
    return found != choices_.end() ? found->second : choices_.emplace(key, choose()).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<Key, Choice> choices_;
};

template <typename Result>
bool is_within_limits(const Result& result) {
  if (result.status != CUDNN_STATUS_SUCCESS || result.memory > gpu_math().workspace) return false;
  return !gpu_math().deterministic || result.determinism == CUDNN_DETERMINISTIC;
}

/// The first that works within the limits: cuDNN lists the fastest first. Without TF32, it tries
/// CUDNN_DEFAULT_MATH too, which TF32 is a part of: such a result says little of the algorithm by
/// FMA, and is taken only where there is no other.
template <typename Result>
Algorithm first_of(const std::vector<Result>& results, const char* what) {
  for (const bool as_it_will_run : {true, false})
    for (const Result& result : results) {
      if (!is_within_limits(result)) continue;
      const cudnnMathType_t math = gpu_math().tf32 ? result.mathType : CUDNN_FMA_MATH;
      if (as_it_will_run && result.mathType != math) continue;
      return {static_cast<int>(result.algo), result.memory, math};
    }
  fail("GPU: cuDNN has no ", what, " of this shape within ", gpu_math().workspace,
       " bytes of workspace");
}

/// What `list` makes of room for as many results as it likes to give.
template <typename Result, typename List>
Algorithm choose(const char* what, const List& list) {
  constexpr int kMost = 16;
  std::vector<Result> results(kMost);
  int count = 0;
  const cudnnStatus_t status = list(kMost, &count, results.data());
  cudaGetLastError();  // of a trial that failed
  check_cudnn(status, what);
  results.resize(count);
  return first_of(results, what);
}

Choices<Algorithm>& algorithms(Layout layout) {
  static Choices<Algorithm> first, last;
  return layout == Layout::CHANNELS_LAST ? last : first;
}

class CudnnConvolution : public ConvolutionKernel {
 public:
  CudnnConvolution(const Convolution& convolution, Layout layout);

  /// Takes no ReLU along: no net on the GPU asks for it. The bias is for channels first.
  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override;
  void backward_data(const float* results, const float* weights, float* maps) const override;
  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override;

 private:
  bool is_empty() const { return of_.samples == 0; }
  void use(const Algorithm& algorithm) const {
    check_cudnn(cudnnSetConvolutionMathType(window_.get(), algorithm.math),
                "cudnnSetConvolutionMathType");
  }
  Algorithm find_forward(const float* maps, const float* weights, float* results) const;
  Algorithm find_data(const float* results, const float* weights, float* maps) const;
  Algorithm find_weights(const float* maps, const float* results) const;

  Convolution of_;
  Layout layout_;
  Owned<cudnnTensorDescriptor_t> maps_;
  Owned<cudnnTensorDescriptor_t> results_;
  Owned<cudnnFilterDescriptor_t> weights_;
  Owned<cudnnConvolutionDescriptor_t> window_;
  // Chosen when first needed: to measure takes the blobs.
  mutable Algorithm forward_, data_, for_weights_;
};

std::vector<int> with_axes(std::vector<int> sizes, const Window& window,
                           int (*size)(const WindowAxis&)) {
  for (const WindowAxis& axis : window.axes) sizes.push_back(size(axis));
  return sizes;
}

std::vector<int> map_sizes(const Convolution& of) {
  return with_axes({std::max(1, of.samples), of.groups * of.window.channels}, of.window,
                   [](const WindowAxis& axis) { return axis.size; });
}
std::vector<int> result_sizes(const Convolution& of) {
  return with_axes({std::max(1, of.samples), of.groups * of.filters}, of.window,
                   [](const WindowAxis& axis) { return axis.outputs(); });
}
std::vector<int> weight_sizes(const Convolution& of) {
  return with_axes({of.groups * of.filters, of.window.channels}, of.window,
                   [](const WindowAxis& axis) { return axis.kernel; });
}

std::size_t weight_bytes(const Convolution& of) { return of.weights() * sizeof(float); }

CudnnConvolution::CudnnConvolution(const Convolution& convolution, Layout layout)
    : of_(convolution),
      layout_(layout),
      maps_(tensor(map_sizes(of_), layout)),
      results_(tensor(result_sizes(of_), layout)),
      weights_(filter(weight_sizes(of_), layout)),
      window_(window_of(of_)) {}

Algorithm CudnnConvolution::find_forward(const float* maps, const float* weights,
                                         float* results) const {
  using Result = cudnnConvolutionFwdAlgoPerf_t;
  const char* what = "cudnnConvolutionForward";
  if (gpu_math().deterministic)
    return choose<Result>(what, [&](int most, int* count, Result* found) {
      return cudnnGetConvolutionForwardAlgorithm_v7(
          cudnn(), maps_.get(), weights_.get(), window_.get(), results_.get(), most, count, found);
    });
  const auto workspace = largest_workspace();
  return choose<Result>(what, [&](int most, int* count, Result* found) {
    return cudnnFindConvolutionForwardAlgorithmEx(
        cudnn(), maps_.get(), maps, weights_.get(), weights, window_.get(), results_.get(), results,
        most, count, found, workspace->get(), workspace->bytes());
  });
}

Algorithm CudnnConvolution::find_data(const float* results, const float* weights,
                                      float* maps) const {
  using Result = cudnnConvolutionBwdDataAlgoPerf_t;
  const char* what = "cudnnConvolutionBackwardData";
  if (gpu_math().deterministic)
    return choose<Result>(what, [&](int most, int* count, Result* found) {
      return cudnnGetConvolutionBackwardDataAlgorithm_v7(
          cudnn(), weights_.get(), results_.get(), window_.get(), maps_.get(), most, count, found);
    });
  const auto workspace = largest_workspace();
  return choose<Result>(what, [&](int most, int* count, Result* found) {
    return cudnnFindConvolutionBackwardDataAlgorithmEx(
        cudnn(), weights_.get(), weights, results_.get(), results, window_.get(), maps_.get(), maps,
        most, count, found, workspace->get(), workspace->bytes());
  });
}

/// The gradients so far are not to be lost to a measurement: it writes to memory of its own.
Algorithm CudnnConvolution::find_weights(const float* maps, const float* results) const {
  using Result = cudnnConvolutionBwdFilterAlgoPerf_t;
  const char* what = "cudnnConvolutionBackwardFilter";
  if (gpu_math().deterministic)
    return choose<Result>(what, [&](int most, int* count, Result* found) {
      return cudnnGetConvolutionBackwardFilterAlgorithm_v7(
          cudnn(), maps_.get(), results_.get(), window_.get(), weights_.get(), most, count, found);
    });
  const Temporary gradient(weight_bytes(of_));
  const auto workspace = largest_workspace();
  return choose<Result>(what, [&](int most, int* count, Result* found) {
    return cudnnFindConvolutionBackwardFilterAlgorithmEx(
        cudnn(), maps_.get(), maps, results_.get(), results, window_.get(), weights_.get(),
        gradient.get(), most, count, found, workspace->get(), workspace->bytes());
  });
}

void CudnnConvolution::forward(const float* maps, const float* weights, const Epilogue& epilogue,
                               float* results) const {
  if (epilogue.rectifies) fail("a convolution on the GPU takes no ReLU along");
  if (is_empty()) return;
  if (forward_.number < 0)
    forward_ = algorithms(layout_).of(key_of(of_, Direction::FORWARD),
                                      [&] { return find_forward(maps, weights, results); });
  use(forward_);
  const float one = 1, zero = 0;
  check_cudnn(cudnnConvolutionForward(cudnn(), &one, maps_.get(), maps, weights_.get(), weights,
                                      window_.get(),
                                      static_cast<cudnnConvolutionFwdAlgo_t>(forward_.number),
                                      scratch_gpu(forward_.workspace), forward_.workspace, &zero,
                                      results_.get(), results),
              "cudnnConvolutionForward");
  if (epilogue.bias != nullptr)
    add_bias_gpu(of_.samples, of_.groups * of_.filters, of_.places(), epilogue.bias, results);
}

void CudnnConvolution::backward_data(const float* results, const float* weights,
                                     float* maps) const {
  if (is_empty()) return;
  if (data_.number < 0)
    data_ = algorithms(layout_).of(key_of(of_, Direction::DATA),
                                   [&] { return find_data(results, weights, maps); });
  use(data_);
  const float one = 1, zero = 0;
  check_cudnn(cudnnConvolutionBackwardData(
                  cudnn(), &one, weights_.get(), weights, results_.get(), results, window_.get(),
                  static_cast<cudnnConvolutionBwdDataAlgo_t>(data_.number),
                  scratch_gpu(data_.workspace), data_.workspace, &zero, maps_.get(), maps),
              "cudnnConvolutionBackwardData");
}

void CudnnConvolution::backward_weights(const float* maps, const float* results, bool adds,
                                        float* weights) const {
  if (is_empty()) {
    if (!adds) gpu_runtime()->fill_zero(weights, weight_bytes(of_));
    return;
  }
  if (for_weights_.number < 0)
    for_weights_ = algorithms(layout_).of(key_of(of_, Direction::WEIGHTS),
                                          [&] { return find_weights(maps, results); });
  use(for_weights_);
  const float one = 1, kept = adds ? 1 : 0;
  check_cudnn(cudnnConvolutionBackwardFilter(
                  cudnn(), &one, maps_.get(), maps, results_.get(), results, window_.get(),
                  static_cast<cudnnConvolutionBwdFilterAlgo_t>(for_weights_.number),
                  scratch_gpu(for_weights_.workspace), for_weights_.workspace, &kept,
                  weights_.get(), weights),
              "cudnnConvolutionBackwardFilter");
}

/// How long it takes; infinite for what cannot be done.
double seconds_of(const std::function<void()>& work) try {
  constexpr int kTimes = 5;
  work();  // which finds its algorithm and takes its memory
  gpu_runtime()->synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kTimes; ++i) work();
  gpu_runtime()->synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
} catch (const Error&) {
  gpu_runtime()->synchronize();  // throws where nothing works any more
  cudaGetLastError();
  return HUGE_VAL;
}

/// Whether channels last are faster.
Choices<bool>& layouts() {
  static Choices<bool> all;
  return all;
}

/// The layout that is faster, turning included, in each direction by itself.
class FasterConvolution : public ConvolutionKernel {
 public:
  FasterConvolution(const Convolution& of, std::unique_ptr<ConvolutionKernel> first,
                    std::unique_ptr<ConvolutionKernel> last)
      : of_(of),
        asks_for_last_(asked_convolution() == "channels_last"),
        first_(std::move(first)),
        last_(std::move(last)) {}

  void forward(const float* maps, const float* weights, const Epilogue& epilogue,
               float* results) const override {
    const auto run = [&](const ConvolutionKernel& kernel) {
      kernel.forward(maps, weights, epilogue, results);
    };
    run(faster(Direction::FORWARD, run));
  }
  void backward_data(const float* results, const float* weights, float* maps) const override {
    const auto run = [&](const ConvolutionKernel& kernel) {
      kernel.backward_data(results, weights, maps);
    };
    run(faster(Direction::DATA, run));
  }
  /// As in find_weights, a measurement writes to memory of its own.
  void backward_weights(const float* maps, const float* results, bool adds,
                        float* weights) const override {
    std::unique_ptr<Temporary> own;
    const auto measure = [&](const ConvolutionKernel& kernel) {
      if (own == nullptr) {
        own = std::make_unique<Temporary>(weight_bytes(of_));
        gpu_runtime()->fill_zero(own->get(), own->bytes());
      }
      kernel.backward_weights(maps, results, adds, static_cast<float*>(own->get()));
    };
    faster(Direction::WEIGHTS, measure).backward_weights(maps, results, adds, weights);
  }

 private:
  template <typename Run>
  const ConvolutionKernel& faster(Direction direction, const Run& run) const {
    if (of_.samples == 0) return *first_;
    std::optional<bool>& is_last = is_last_[static_cast<int>(direction)];
    if (!is_last) {
      Key key = key_of(of_, direction);
      key.push_back(asks_for_last_);
      is_last = layouts().of(key, [&] { return is_last_faster(run); });
    }
    return *is_last ? *last_ : *first_;
  }

  template <typename Run>
  bool is_last_faster(const Run& run) const {
    gpu_runtime()->synchronize();  // throws where work is recorded: no clock can tell then
    const double first = asks_for_last_ ? HUGE_VAL : seconds_of([&] { run(*first_); });
    const bool is_faster = seconds_of([&] { run(*last_); }) < first;
    if (!is_faster) free_outer_scratch_gpu();
    return is_faster;
  }

  Convolution of_;
  bool asks_for_last_;
  std::unique_ptr<ConvolutionKernel> first_;
  std::unique_ptr<ConvolutionKernel> last_;
  // Chosen when first needed.
  mutable std::optional<bool> is_last_[3];
};

}  // namespace

std::unique_ptr<ConvolutionKernel> make_convolution_gpu(const Convolution& convolution) {
  constexpr std::size_t kMostAxes = 3;
  if (convolution.window.axes.size() > kMostAxes) return nullptr;
  if (convolution.map_size() == 0 || convolution.result_size() == 0) return nullptr;
  for (const WindowAxis& axis : convolution.window.axes)
    if (axis.size + 2LL * axis.pad < axis.reach()) return nullptr;
  auto first = std::make_unique<CudnnConvolution>(convolution, Layout::CHANNELS_FIRST);
  if (gpu_math().deterministic) return first;
  auto last = make_channels_last(
      convolution, std::make_unique<CudnnConvolution>(convolution, Layout::CHANNELS_LAST));
  if (last == nullptr) return first;
  return std::make_unique<FasterConvolution>(convolution, std::move(first), std::move(last));
}

void add_bias_gpu(int samples, int channels, int values, const float* bias, float* y) {
  for_each_gpu(samples * channels * values,
               [=] __device__(int i) { y[i] += bias[i / values % channels]; });
}

void add_bias_gradient_gpu(int samples, int channels, int values, const float* dy, float* d_bias) {
  sum_rows_gpu(
      channels, samples * values,
      [=] __device__(int channel, int i) {
        return Sums{dy[(i / values * channels + channel) * values + i % values], 0};
      },
      [=] __device__(int channel, const Sums& sums) {
        d_bias[channel] += static_cast<float>(sums.first);
      });
}

}  // namespace vibnet
