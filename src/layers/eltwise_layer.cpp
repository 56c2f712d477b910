#include "layers/eltwise_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void EltwiseLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
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

void EltwiseLayer::reshape(const Blobs& bottom, const Blobs& top) {
  for (std::size_t i = 1; i < bottom.size(); ++i)
    if (bottom[i]->shape() != bottom[0]->shape())
      fail("bottom '", parameter_.bottom(static_cast<int>(i)), "' is ",
           to_string(bottom[i]->shape()), ", and the first is ", to_string(bottom[0]->shape()));
  top[0]->reshape_like(*bottom[0]);
}

ChannelRule EltwiseLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  ChannelRule rule = ChannelRule::pointwise();
  rule.coupled = static_cast<int>(bottom.size());
  rule.is_product = operation() == EltwiseParameter::PROD;
  if (operation() == EltwiseParameter::SUM) rule.role = ChannelRule::Role::SUM;
  return rule;
}

bool EltwiseLayer::hands_on_diff() const {
  return operation() == EltwiseParameter::SUM &&
         std::all_of(coefficients_.begin(), coefficients_.end(),
                     [](float coefficient) { return coefficient == 1; });
}

/// y = the weighted sum, block by block: those stay in cache from one bottom to the next.
void EltwiseLayer::sum(const std::vector<const float*>& x, std::int64_t count, float* y) const {
  constexpr std::int64_t kBlock = 1024;
  const float c0 = coefficients_[0];
  const float c1 = coefficients_[1];
  const bool rectifies = rectifies_;
  parallel_for((count + kBlock - 1) / kBlock, grain_of(kBlock),
               [&, y](std::int64_t first, std::int64_t last) {
                 for (std::int64_t begin = first * kBlock; begin < last * kBlock; begin += kBlock) {
                   const std::int64_t end = std::min(count, begin + kBlock);
                   const float* x0 = x[0];
                   const float* x1 = x[1];
                   for (std::int64_t i = begin; i < end; ++i) y[i] = c0 * x0[i] + c1 * x1[i];
                   for (std::size_t b = 2; b < x.size(); ++b)
                     for (std::int64_t i = begin; i < end; ++i) y[i] += coefficients_[b] * x[b][i];
                   for (std::int64_t i = begin; rectifies && i < end; ++i)
                     y[i] = y[i] < 0 ? 0 : y[i];
                 }
               });
}

void EltwiseLayer::forward(const Blobs& bottom, const Blobs& top) {
  const std::vector<const float*> x = data_of(bottom);
  const EltwiseFormula formula = this->formula(x);
  float* y = top[0]->mutable_cpu_data();
  if (operation() == EltwiseParameter::SUM) return sum(x, top[0]->count(), y);
  parallel_for(top[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y[i] = formula.value(i);
  });
}

void EltwiseLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  const std::vector<const float*> x = data_of(bottom);
  const EltwiseFormula formula = this->formula(x);
  const float* dy = top[0]->cpu_diff();
  for (int b = 0; b < formula.bottoms; ++b) {
    if (!propagate_down[b]) continue;
    float* dx = bottom[b]->mutable_cpu_diff();
    if (dx == dy) continue;  // see hands_on_diff
    const bool is_sum = operation() == EltwiseParameter::SUM;
    const float coefficient = coefficients_[b];
    parallel_for(top[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      if (is_sum)
        for (std::int64_t i = begin; i < end; ++i) dx[i] = coefficient * dy[i];
      else
        for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * formula.slope(b, i);
    });
  }
}

std::vector<const float*> EltwiseLayer::data_of(const Blobs& blobs) {
  std::vector<const float*> data;
  for (const Blob* blob : blobs) data.push_back(blob->cpu_data());
  return data;
}

REGISTER_LAYER(Eltwise, CPU, EltwiseLayer);

}  // namespace vibnet
