#include "layers/sigmoid_cross_entropy_loss_layer.h"

#include <algorithm>
#include <cmath>

#include "math/parallel.h"
#include "math/sigmoid.h"
#include "vibnet/registry.h"

namespace vibnet {

void SigmoidCrossEntropyLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->axes() == 0 || bottom[1]->axes() == 0 ||
      bottom[0]->shape(0) != bottom[1]->shape(0) || bottom[0]->count() != bottom[1]->count())
    fail("needs as many targets as values, and the bottoms are ", to_string(bottom[0]->shape()),
         " and ", to_string(bottom[1]->shape()));
  top[0]->reshape({});
}

void SigmoidCrossEntropyLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  const float* targets = bottom[1]->cpu_data();
  const int count = bottom[0]->count();
  const Ignored ignored(parameter_.loss_param());
  const double loss = parallel_sum(count, [&](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i)
      if (!ignored.has(targets[i])) part += sigmoid_cross_entropy(x[i], targets[i]);
    return part;
  });
  const auto valid =
      std::count_if(targets, targets + count, [&](float target) { return !ignored.has(target); });
  const LossSums sums = LossSums{loss, static_cast<double>(valid)}.over(context_.ranks);
  divisor_ = normalizer(bottom).of(static_cast<int>(sums.valid));
  top[0]->mutable_cpu_data()[0] = static_cast<float>(sums.loss / divisor_);
}

void SigmoidCrossEntropyLossLayer::backward(const Blobs& top,
                                            const std::vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float* targets = bottom[1]->cpu_data();
  const float scale = top[0]->cpu_diff()[0] / divisor_;
  float* dx = bottom[0]->mutable_cpu_diff();
  const Ignored ignored(parameter_.loss_param());
  parallel_for(bottom[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      dx[i] = ignored.has(targets[i]) ? 0 : scale * (sigmoid(x[i]) - targets[i]);
  });
}

REGISTER_LAYER(SigmoidCrossEntropyLoss, CPU, SigmoidCrossEntropyLossLayer);

}  // namespace vibnet
