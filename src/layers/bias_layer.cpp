#include "layers/bias_layer.h"

#include <algorithm>

#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

void BiasLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const BiasParameter& parameter = parameter_.bias_param();
  bias_is_bottom_ = bottom.size() > 1;
  if (!bias_is_bottom_)
    add_blob(operand_shape(*bottom[0], parameter.axis(), parameter.num_axes()),
             &parameter.filler());
}

void BiasLayer::reshape(const Blobs& bottom, const Blobs& top) {
  place(*bottom[0], bias(bottom), parameter_.bias_param().axis(), "bias");
  top[0]->reshape_like(*bottom[0]);
}

ChannelRule BiasLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  const BiasParameter& p = parameter_.bias_param();
  if (bias_is_bottom_ || p.axis() != 1 || blobs_[0]->axes() == 0) return ChannelRule::wall();
  ChannelRule rule = ChannelRule::pointwise();
  if (blobs_[0]->axes() != 1) rule.constants = ChannelRule::Constants::NONE;
  rule.channel_blobs = 1;
  rule.has_shift = true;
  return rule;
}

void BiasLayer::begin_forward(const Blobs& bottom) { shifts_ = bias(bottom).cpu_data(); }

void BiasLayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  kernels().blocks.multiply_add(x, 0, 1, shifts_[block.channel], y, block.count());
}

void BiasLayer::backward_block(const ChannelBlock& block, const float* /*x*/, const float* /*y*/,
                               const float* dy, float* dx) {
  sums_.add(block, kernels().blocks.sum(dy, block.count()));
  if (dx != dy) std::copy_n(dy, block.count(), dx);
}

void BiasLayer::end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) {
  sums_.end();
  if (bias_is_bottom_ && propagate_down[1]) bottom[1]->set_diff(0);
  if (bias_is_bottom_ ? propagate_down[1] : learns(0))
    sums_.add_to(bias(bottom).mutable_cpu_diff());
}

REGISTER_LAYER(Bias, CPU, BiasLayer);

}  // namespace vibnet
