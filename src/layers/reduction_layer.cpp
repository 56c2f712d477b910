#include "layers/reduction_layer.h"

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void ReductionLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Shape& shape = bottom[0]->shape();
  const int axis = bottom[0]->canonical_axis(parameter().axis());
  rows_ = bottom[0]->count(0, axis);
  size_ = bottom[0]->count(axis);
  top[0]->reshape({shape.begin(), shape.begin() + axis});
  coefficient_ = parameter().coeff();
  sums_batch_ = axis == 0;
  const int ranks = sums_batch_ ? context_.ranks->size() : 1;
  if (parameter().operation() == ReductionParameter::MEAN && size_ > 0)
    coefficient_ /= static_cast<float>(size_) * static_cast<float>(ranks);
}

ChannelRule ReductionLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  using Constants = ChannelRule::Constants;
  using Homogeneous = ChannelRule::Homogeneous;
  const ReductionParameter::ReductionOp operation = parameter().operation();
  const bool is_mean = operation == ReductionParameter::MEAN;
  if (bottom[0]->canonical_axis(parameter().axis()) < 2) return ChannelRule::total(is_mean);
  // A sum over places is not what one place gives.
  return ChannelRule::each(is_mean ? Constants::ANY : Constants::ZERO,
                           operation == ReductionParameter::SUMSQ  ? Homogeneous::NEVER
                           : operation == ReductionParameter::ASUM ? Homogeneous::FOR_POSITIVE
                                                                   : Homogeneous::ALWAYS);
}

void ReductionLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  if (sums_batch_) {
    double sum = reduce(x);
    context_.ranks->sum(&sum, 1);
    y[0] = static_cast<float>(coefficient_ * sum);
    return;
  }
  parallel_for(rows_, grain_of(size_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      y[row] = static_cast<float>(coefficient_ * reduce(x + row * size_));
  });
}

void ReductionLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                              const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  const ReductionParameter::ReductionOp operation = parameter().operation();
  parallel_for(bottom[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      dx[i] = coefficient_ * dy[i / size_] * slope_of_reduced(operation, x[i]);
  });
}

double ReductionLayer::reduce(const float* x) const {
  const ReductionParameter::ReductionOp operation = parameter().operation();
  return parallel_sum(size_, [=](std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += reduced(operation, x[i]);
    return sum;
  });
}

REGISTER_LAYER(Reduction, CPU, ReductionLayer);

}  // namespace vibnet
