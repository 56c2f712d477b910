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
    const bool is_plain = std::all_of(coefficients_.begin(), coefficients_.end(),
                                      [](float coefficient) { return coefficient == 1; });
    if (operation() == EltwiseParameter::SUM && is_plain) rule.role = ChannelRule::Role::SUM;
    return rule;
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const std::vector<const float*> x = data_of(bottom);
    float* y = top[0]->mutable_cpu_data();
    parallel_for(top[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        float value = coefficients_[0] * x[0][i];
        for (std::size_t b = 1; b < x.size(); ++b)
          value = combine(value, coefficients_[b] * x[b][i]);
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
      parallel_for(top[0]->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * slope(x, b, i);
      });
    }
  }

 private:
  EltwiseParameter::EltwiseOp operation() const { return parameter_.eltwise_param().operation(); }

  static std::vector<const float*> data_of(const Blobs& blobs) {
    std::vector<const float*> data;
    for (const Blob* blob : blobs) data.push_back(blob->cpu_data());
    return data;
  }

  float combine(float a, float b) const {
    switch (operation()) {
      case EltwiseParameter::PROD:
        return a * b;
      case EltwiseParameter::MAX:
        return std::max(a, b);
      default:
        return a + b;
    }
  }

  /// dy/dx of bottom b at value i. Where several bottoms are the largest one takes it all, as in
  /// Caffe: of the first two the second, else the first.
  float slope(const std::vector<const float*>& x, std::size_t b, std::int64_t i) const {
    float product = 1;
    std::size_t largest = x[1][i] >= x[0][i] ? 1 : 0;
    switch (operation()) {
      case EltwiseParameter::PROD:
        for (std::size_t other = 0; other < x.size(); ++other)
          if (other != b) product *= x[other][i];
        return product;
      case EltwiseParameter::MAX:
        for (std::size_t other = 2; other < x.size(); ++other)
          if (x[other][i] > x[largest][i]) largest = other;
        return largest == b ? 1 : 0;
      default:
        return coefficients_[b];
    }
  }

  std::vector<float> coefficients_;
};

REGISTER_LAYER(Eltwise, CPU, EltwiseLayer);

}  // namespace vibnet
