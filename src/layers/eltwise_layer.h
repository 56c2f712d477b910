#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// What an Eltwise makes of the i-th values of its bottoms.
struct EltwiseFormula {
  EltwiseParameter::EltwiseOp operation;
  int bottoms;
  const float* const* x;
  const float* coefficients;

  VIBNET_HOST_DEVICE float value(std::int64_t i) const {
    float value = coefficients[0] * x[0][i];
    for (int b = 1; b < bottoms; ++b) {
      const float next = coefficients[b] * x[b][i];
      value = operation == EltwiseParameter::PROD  ? value * next
              : operation == EltwiseParameter::MAX ? std::max(value, next)
                                                   : value + next;
    }
    return value;
  }

  /// dy/dx of bottom b. Where several bottoms are the largest one takes it all, as in Caffe: of the
  /// first two the second, else the first.
  VIBNET_HOST_DEVICE float slope(int b, std::int64_t i) const {
    if (operation == EltwiseParameter::SUM) return coefficients[b];
    if (operation == EltwiseParameter::PROD) {
      float product = 1;
      for (int other = 0; other < bottoms; ++other)
        if (other != b) product *= x[other][i];
      return product;
    }
    int largest = x[1][i] >= x[0][i] ? 1 : 0;
    for (int other = 2; other < bottoms; ++other)
      if (x[other][i] > x[largest][i]) largest = other;
    return largest == b ? 1.0f : 0.0f;
  }
};

/// The product, weighted sum or largest of several bottoms, value by value (Caffe's Eltwise). All
/// bottoms have one shape; `coeff` weighs a sum. A product's gradient is always the stable one,
/// which stable_prod_grad: false would spare for NaN at zeros.
class EltwiseLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, BlobCount::kAny}; }
  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override;
  bool hands_on_diff() const override;
  bool rectify() override {
    rectifies_ = operation() == EltwiseParameter::SUM;
    return rectifies_;
  }
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  EltwiseParameter::EltwiseOp operation() const { return parameter_.eltwise_param().operation(); }
  static std::vector<const float*> data_of(const Blobs& blobs);
  EltwiseFormula formula(const std::vector<const float*>& x) const {
    return {operation(), static_cast<int>(x.size()), x.data(), coefficients_.data()};
  }

  std::vector<float> coefficients_;

 private:
  void sum(const std::vector<const float*>& x, std::int64_t count, float* y) const;

  bool rectifies_ = false;
};

}  // namespace vibnet
