#include <cmath>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// coeff times the SUM, the sum of magnitudes (ASUM) or of squares (SUMSQ), or the MEAN of all
/// values behind the axes before `axis`, which are the top's (Caffe's Reduction).
class ReductionLayer : public Layer {
 public:
  using Layer::Layer;

  void reshape(const Blobs& bottom, const Blobs& top) override {
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

  void forward(const Blobs& bottom, const Blobs& top) override {
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

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* x = bottom[0]->cpu_data();
    const float* dy = top[0]->cpu_diff();
    float* dx = bottom[0]->mutable_cpu_diff();
    parallel_for(bottom[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] = coefficient_ * dy[i / size_] * slope(x[i]);
    });
  }

 private:
  const ReductionParameter& parameter() const { return parameter_.reduction_param(); }

  double reduce(const float* x) const {
    const ReductionParameter::ReductionOp operation = parameter().operation();
    return parallel_sum(size_, [=](std::int64_t begin, std::int64_t end) {
      double sum = 0;
      for (std::int64_t i = begin; i < end; ++i)
        sum += operation == ReductionParameter::ASUM    ? std::fabs(x[i])
               : operation == ReductionParameter::SUMSQ ? x[i] * x[i]
                                                        : x[i];
      return sum;
    });
  }

  float slope(float x) const {
    switch (parameter().operation()) {
      case ReductionParameter::ASUM:
        return x > 0 ? 1 : x < 0 ? -1 : 0;
      case ReductionParameter::SUMSQ:
        return 2 * x;
      default:
        return 1;
    }
  }

  int rows_ = 0;
  int size_ = 0;
  float coefficient_ = 1;
  /// Whether the top is one value for the whole batch, of all ranks.
  bool sums_batch_ = false;
};

REGISTER_LAYER(Reduction, CPU, ReductionLayer);

}  // namespace vibnet
