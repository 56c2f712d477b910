#include "layers/inner_product_layer.h"

#include <algorithm>
#include <cstdint>

#include "math/gemm.h"
#include "math/packed_weights.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// Fewer take their dot products with the weights as they are.
constexpr int kRowsToPackFor = 4;
/// Weights beyond which a second copy takes more memory than its speed is worth.
constexpr std::int64_t kMostToPack = 1 << 22;

}  // namespace

void InnerProductLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const InnerProductParameter& parameter = parameter_.inner_product_param();
  if (parameter.num_output() == 0) fail("num_output is missing or 0");
  outputs_ = size_of("num_output", parameter.num_output());
  inputs_ = bottom[0]->count(bottom[0]->canonical_axis(parameter.axis()));
  add_blob(is_transposed() ? Shape{inputs_, outputs_} : Shape{outputs_, inputs_},
           &parameter.weight_filler());
  if (has_bias()) add_blob({outputs_}, &parameter.bias_filler());
}

void InnerProductLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const int axis = bottom[0]->canonical_axis(parameter_.inner_product_param().axis());
  if (bottom[0]->count(axis) != inputs_)
    fail("was made for ", inputs_, " inputs, and the bottom has ", bottom[0]->count(axis));
  rows_ = bottom[0]->count(0, axis);
  Shape shape(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axis);
  shape.push_back(outputs_);
  top[0]->reshape(shape);
}

ChannelRule InnerProductLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  if (bottom[0]->canonical_axis(parameter_.inner_product_param().axis()) != 1)
    return ChannelRule::wall();
  ChannelRule rule;
  rule.role = ChannelRule::Role::MIX;
  rule.constants = ChannelRule::Constants::SAME;
  if (is_transposed()) rule.weights = ChannelRule::Weights::INPUT_KERNEL_OUTPUT;
  rule.kernel = bottom[0]->count(2);
  rule.has_shift = has_bias();
  return rule;
}

void InnerProductLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  if (!packs()) return multiply(x, y);
  const PackedWeights packed(outputs_, inputs_);
  const float* weights = prepared_.of(*blobs_[0], packed.size(),
                                      [&](const float* from, float* to) { packed.pack(from, to); });
  packed.multiply(weights, rows_, x,
                  {has_bias() ? blobs_[1]->cpu_data() : nullptr, nullptr, rectifies_}, y);
}

bool InnerProductLayer::packs() const {
  return context_.phase == TEST && !is_transposed() && rows_ >= kRowsToPackFor &&
         std::int64_t{outputs_} * inputs_ <= kMostToPack;
}

void InnerProductLayer::multiply(const float* x, float* y) const {
  if (has_bias()) {
    const float* bias = blobs_[1]->cpu_data();
    for (int row = 0; row < rows_; ++row) std::copy_n(bias, outputs_, y + row * outputs_);
  }
  gemm(Transpose::NO, is_transposed() ? Transpose::NO : Transpose::YES, rows_, outputs_, inputs_, x,
       blobs_[0]->cpu_data(), has_bias(), y);
  for (int i = 0; rectifies_ && i < rows_ * outputs_; ++i) y[i] = y[i] < 0 ? 0 : y[i];
}

void InnerProductLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                 const Blobs& bottom) {
  const float* dy = top[0]->cpu_diff();
  const float* x = bottom[0]->cpu_data();
  if (learns(0)) {
    const DiffSum dw = blobs_[0]->cpu_diff_sum();
    if (is_transposed())
      gemm(Transpose::YES, Transpose::NO, inputs_, outputs_, rows_, x, dy, dw.adds, dw.values);
    else
      gemm(Transpose::YES, Transpose::NO, outputs_, inputs_, rows_, dy, x, dw.adds, dw.values);
  }
  if (has_bias() && learns(1)) {
    float* db = blobs_[1]->mutable_cpu_diff();
    for (int row = 0; row < rows_; ++row)
      for (int output = 0; output < outputs_; ++output) db[output] += dy[row * outputs_ + output];
  }
  if (propagate_down[0])
    gemm(Transpose::NO, is_transposed() ? Transpose::YES : Transpose::NO, rows_, inputs_, outputs_,
         dy, blobs_[0]->cpu_data(), false, bottom[0]->mutable_cpu_diff());
}

REGISTER_LAYER(InnerProduct, CPU, InnerProductLayer);

}  // namespace vibnet
