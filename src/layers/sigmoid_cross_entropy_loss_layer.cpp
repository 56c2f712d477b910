#include <algorithm>
#include <cmath>

#include "layers/loss.h"
#include "math/parallel.h"
#include "math/sigmoid.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Cross-entropy of sigmoid(x) against targets from 0 to 1, each value alone (Caffe's
/// SigmoidCrossEntropyLoss).
///
/// Bottoms: x; the targets, as many and in as many samples. Top: the loss, a scalar. The sum is
/// divided by the batch, unless `normalization` says else; targets whose whole part is the
/// ignore_label do not count.
class SigmoidCrossEntropyLossLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  bool has_gradient(int bottom) const override { return bottom == 0; }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0]->axes() == 0 || bottom[1]->axes() == 0 ||
        bottom[0]->shape(0) != bottom[1]->shape(0) || bottom[0]->count() != bottom[1]->count())
      fail("needs as many targets as values, and the bottoms are ", to_string(bottom[0]->shape()),
           " and ", to_string(bottom[1]->shape()));
    top[0]->reshape({});
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    const float* targets = bottom[1]->cpu_data();
    const int count = bottom[0]->count();
    double loss = parallel_sum(count, [&](std::int64_t begin, std::int64_t end) {
      double part = 0;
      for (std::int64_t i = begin; i < end; ++i)
        if (!ignores(targets[i]))
          part += std::max(x[i], 0.0f) - x[i] * targets[i] + std::log1p(std::exp(-std::fabs(x[i])));
      return part;
    });
    const auto valid =
        std::count_if(targets, targets + count, [&](float target) { return !ignores(target); });
    LossCounts counts{count, static_cast<int>(valid), bottom[0]->shape(0)};
    sum_over_ranks(context_.ranks, &loss, &counts);
    normalizer_ = loss_normalizer(parameter_.loss_param(), LossParameter::BATCH_SIZE, counts);
    top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / normalizer_);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* x = bottom[0]->cpu_data();
    const float* targets = bottom[1]->cpu_data();
    const float scale = top[0]->cpu_diff()[0] / normalizer_;
    float* dx = bottom[0]->mutable_cpu_diff();
    parallel_for(bottom[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        dx[i] = ignores(targets[i]) ? 0 : scale * (sigmoid(x[i]) - targets[i]);
    });
  }

 private:
  bool ignores(float target) const { return is_ignored(parameter_.loss_param(), target); }

  float normalizer_ = 1;
};

REGISTER_LAYER(SigmoidCrossEntropyLoss, CPU, SigmoidCrossEntropyLossLayer);

}  // namespace vibnet
