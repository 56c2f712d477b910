#include "layers/scale_layer.h"

#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

void ScaleLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const ScaleParameter& parameter = parameter_.scale_param();
  scale_is_bottom_ = bottom.size() > 1;
  if (!scale_is_bottom_) {
    FillerParameter ones;
    ones.set_value(1);
    add_blob(operand_shape(*bottom[0], parameter.axis(), parameter.num_axes()),
             parameter.has_filler() ? &parameter.filler() : &ones);
  }
  if (has_bias()) add_blob(scale(bottom).shape(), &parameter.bias_filler());
}

void ScaleLayer::reshape(const Blobs& bottom, const Blobs& top) {
  place(*bottom[0], scale(bottom), parameter_.scale_param().axis(), "scale");
  top[0]->reshape_like(*bottom[0]);
}

ChannelRule ScaleLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  if (scale_is_bottom_) return rule_of_two(bottom);
  if (parameter_.scale_param().axis() != 1 || blobs_[0]->axes() == 0) return ChannelRule::wall();
  ChannelRule rule = ChannelRule::pointwise();
  if (!has_bias()) rule.homogeneous = ChannelRule::Homogeneous::ALWAYS;
  if (blobs_[0]->axes() != 1)  // a factor for each place
    rule.constants = has_bias() ? ChannelRule::Constants::NONE : ChannelRule::Constants::ZERO;
  rule.channel_blobs = static_cast<int>(blobs_.size());
  rule.has_shift = has_bias();
  return rule;
}

void ScaleLayer::begin_forward(const Blobs& bottom) {
  factors_ = scale(bottom).cpu_data();
  shifts_ = has_bias() ? bias().cpu_data() : nullptr;
}

void ScaleLayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  const float shift = shifts_ == nullptr ? 0 : shifts_[block.channel];
  kernels().blocks.multiply_add(x, 0, factors_[block.channel], shift, y, block.count());
}

void ScaleLayer::begin_backward(int parts) {
  scale_sums_.begin(layout().channels, parts);
  bias_sums_.begin(layout().channels, parts);
}

void ScaleLayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                                const float* dy, float* dx) {
  const BlockKernels& loops = kernels().blocks;
  scale_sums_.add(block, loops.dot(x, 0, dy, block.count()));
  if (has_bias()) bias_sums_.add(block, loops.sum(dy, block.count()));
  loops.multiply_add(dy, 0, factors_[block.channel], 0, dx, block.count());
}

void ScaleLayer::end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) {
  scale_sums_.end();
  bias_sums_.end();
  if (scale_is_bottom_ && propagate_down[1]) bottom[1]->set_diff(0);
  if (scale_is_bottom_ ? propagate_down[1] : learns(0))
    scale_sums_.add_to(scale(bottom).mutable_cpu_diff());
  if (has_bias() && learns(static_cast<int>(blobs_.size()) - 1))
    bias_sums_.add_to(bias().mutable_cpu_diff());
}

ChannelRule ScaleLayer::rule_of_two(const Blobs& bottom) const {
  const Shape& scale = bottom[1]->shape();
  const bool is_per_channel = parameter_.scale_param().axis() == 0 && scale.size() == 2;
  if (!is_per_channel || has_bias()) return ChannelRule::wall();
  ChannelRule rule = ChannelRule::pointwise();
  rule.coupled = 2;
  rule.is_product = true;
  return rule;
}

REGISTER_LAYER(Scale, CPU, ScaleLayer);

}  // namespace vibnet
