#include <algorithm>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// The product, weighted sum or largest of several bottoms, value by value (Caffe's Eltwise). All
/// bottoms have one shape; `coeff` weighs a sum. A product's gradient is always the stable one,
/// which stable_prod_grad: false would spare for NaN at zeros.
class EltwiseLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, BlobCount::kAny}; }

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
    const EltwiseParameter& parameter = parameter_.eltwise_param();
    const int given = parameter.coeff_size();
    if (given != 0 && given != static_cast<int>(bottom.size()))
      fail("has ", given, " coeff for ", bottom.size(), " bottoms");
    if (given != 0 && parameter.operation() == EltwiseParameter::PROD)
      fail("coeff is for operation: SUM");
    coefficients_.assign(bottom.size(), 1);
    if (parameter.operation() == EltwiseParameter::SUM)
      std::copy(parameter.coeff().begin(), parameter.coeff().end(), coefficients_.begin());
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    for (std::size_t i = 1; i < bottom.size(); ++i)
      if (bottom[i]->shape() != bottom[0]->shape())
        fail("bottom '", parameter_.bottom(static_cast<int>(i)), "' is ",
             to_string(bottom[i]->shape()), ", and the first is ", to_string(bottom[0]->shape()));
    top[0]->reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override {
    ChannelRule rule = ChannelRule::pointwise();
    rule.coupled = static_cast<int>(bottom.size());
    rule.is_product = operation() == EltwiseParameter::PROD;
    if (is_plain_sum()) rule.role = ChannelRule::Role::SUM;
    return rule;
  }

  bool hands_on_diff() const override { return is_plain_sum(); }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const std::vector<const float*> x = data_of(bottom);
    float* y = top[0]->mutable_cpu_data();
    if (operation() == EltwiseParameter::SUM) return sum(x, top[0]->count(), y);
    parallel_for(top[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        float value = x[0][i];
        for (std::size_t b = 1; b < x.size(); ++b) value = combine(value, x[b][i]);
        y[i] = value;
      }
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const std::vector<const float*> x = data_of(bottom);
    const float* dy = top[0]->cpu_diff();
    for (std::size_t b = 0; b < bottom.size(); ++b) {
      if (!propagate_down[b]) continue;
      float* dx = bottom[b]->mutable_cpu_diff();
      if (dx == dy) continue;  // see hands_on_diff
      const bool is_sum = operation() == EltwiseParameter::SUM;
      const float coefficient = coefficients_[b];
      parallel_for(top[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
        if (is_sum)
          for (std::int64_t i = begin; i < end; ++i) dx[i] = coefficient * dy[i];
        else
          for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * slope(x, b, i);
      });
    }
  }

 private:
  EltwiseParameter::EltwiseOp operation() const { return parameter_.eltwise_param().operation(); }

  bool is_plain_sum() const {
    return operation() == EltwiseParameter::SUM &&
           std::all_of(coefficients_.begin(), coefficients_.end(),
                       [](float coefficient) { return coefficient == 1; });
  }

  void sum(const std::vector<const float*>& x, std::int64_t count, float* y) const {
    constexpr std::int64_t kBlock = 1024;  // stays in cache from one bottom to the next
    parallel_for(
        parts(count, kBlock), grain_of(kBlock), [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t begin = first * kBlock; begin < last * kBlock; begin += kBlock) {
            const std::int64_t end = std::min(count, begin + kBlock);
            const float c0 = coefficients_[0];
            const float c1 = coefficients_[1];
            for (std::int64_t i = begin; i < end; ++i) y[i] = c0 * x[0][i] + c1 * x[1][i];
            for (std::size_t b = 2; b < x.size(); ++b)
              for (std::int64_t i = begin; i < end; ++i) y[i] += coefficients_[b] * x[b][i];
          }
        });
  }

  static std::vector<const float*> data_of(const Blobs& blobs) {
    std::vector<const float*> data;
    for (const Blob* blob : blobs) data.push_back(blob->cpu_data());
    return data;
  }

  /// Of a product or the largest.
  float combine(float a, float b) const {
    return operation() == EltwiseParameter::PROD ? a * b : std::max(a, b);
  }

  /// dy/dx of bottom b at value i, of a product or the largest. Where several bottoms are the
  /// largest one takes it all, as in Caffe: of the first two the second, else the first.
  float slope(const std::vector<const float*>& x, std::size_t b, std::int64_t i) const {
    if (operation() == EltwiseParameter::PROD) {
      float product = 1;
      for (std::size_t other = 0; other < x.size(); ++other)
        if (other != b) product *= x[other][i];
      return product;
    }
    std::size_t largest = x[1][i] >= x[0][i] ? 1 : 0;
    for (std::size_t other = 2; other < x.size(); ++other)
      if (x[other][i] > x[largest][i]) largest = other;
    return largest == b ? 1 : 0;
  }

  std::vector<float> coefficients_;
};

REGISTER_LAYER(Eltwise, CPU, EltwiseLayer);

}  // namespace vibnet
