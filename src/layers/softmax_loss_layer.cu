#include <cfloat>
#include <cmath>

#include "core/cuda.h"
#include "layers/softmax_loss_layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// The loss of rows that are ignored, and of labels that are no class.
constexpr float kIgnored = -1;
constexpr float kNoClass = -2;

struct Labels {
  const float* values;
  bool ignores;
  float ignored;

  __device__ bool is_ignored(int row) const { return ignores && truncf(values[row]) == ignored; }
};

/// A thread a row: its probabilities, and its loss or why it has none.
__global__ void softmax_loss_forward(int rows, int classes, int inner, const float* x,
                                     Labels labels, float* probability, float* losses) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const int first = row / inner * classes * inner + row % inner;
  float largest = x[first];
  for (int c = 1; c < classes; ++c) largest = fmaxf(largest, x[first + c * inner]);
  float sum = 0;
  for (int c = 0; c < classes; ++c)
    sum += probability[first + c * inner] = expf(x[first + c * inner] - largest);
  for (int c = 0; c < classes; ++c) probability[first + c * inner] /= sum;
  const float label = labels.values[row];
  if (labels.is_ignored(row))
    losses[row] = kIgnored;
  else if (!(label >= 0 && label < classes))
    losses[row] = kNoClass;
  else
    losses[row] = -logf(fmaxf(probability[first + static_cast<int>(label) * inner], FLT_MIN));
}

__global__ void softmax_loss_backward(int count, int classes, int inner, const float* probability,
                                      Labels labels, float scale, float* dx) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int row = i / (classes * inner) * inner + i % inner;
  const int c = i / inner % classes;
  const float target = c == static_cast<int>(labels.values[row]) ? 1 : 0;
  dx[i] = labels.is_ignored(row) ? 0 : (probability[i] - target) * scale;
}

}  // namespace

class SoftmaxWithLossLayerGPU : public SoftmaxWithLossLayer {
 public:
  using SoftmaxWithLossLayer::SoftmaxWithLossLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int rows = outer_ * inner_;
    losses_.reshape({rows});
    valid_ = 0;
    double loss = 0;
    if (rows > 0) {
      softmax_loss_forward<<<blocks_for(rows), kThreadsPerBlock>>>(
          rows, classes_, inner_, bottom[0]->gpu_data(), labels(*bottom[1]),
          probabilities_.mutable_gpu_data(), losses_.mutable_gpu_data());
      check_launch("softmax_loss_forward");
    }
    const float* losses = losses_.cpu_data();
    for (int row = 0; row < rows; ++row) {
      if (losses[row] == kNoClass) fail_label(bottom[1]->cpu_data()[row], row);
      if (losses[row] == kIgnored) continue;
      loss += losses[row];
      ++valid_;
    }
    top[0]->mutable_cpu_data()[0] = mean(loss);
    if (top.size() > 1) top[1]->share_data(probabilities_);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int count = bottom[0]->count();
    if (!propagate_down[0] || count == 0) return;
    const float scale = top[0]->cpu_diff()[0] / normalizer_;
    softmax_loss_backward<<<blocks_for(count), kThreadsPerBlock>>>(
        count, classes_, inner_, probabilities_.gpu_data(), labels(*bottom[1]), scale,
        bottom[0]->mutable_gpu_diff());
    check_launch("softmax_loss_backward");
  }

 private:
  Labels labels(const Blob& blob) const {
    const LossParameter& parameter = parameter_.loss_param();
    return {blob.gpu_data(), parameter.has_ignore_label(),
            static_cast<float>(parameter.ignore_label())};
  }

  Blob losses_;
};

REGISTER_LAYER(SoftmaxWithLoss, GPU, SoftmaxWithLossLayerGPU);

}  // namespace vibnet
