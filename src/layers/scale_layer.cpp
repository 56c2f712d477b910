#include "layers/broadcast_layer.h"
#include "layers/channel_sums.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = x * scale + bias, the scale broadcast over the axes it does not have, in place if asked
/// (Caffe's Scale).
///
/// Bottoms: x, outer x scale x inner around `axis`; the scale, unless it is a parameter.
/// Parameters: the scale, of num_axes axes of x from `axis` on; the bias of the same shape with
/// bias_term.
class ScaleLayer : public BroadcastLayer {
 public:
  using BroadcastLayer::BroadcastLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
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

  void reshape(const Blobs& bottom, const Blobs& top) override {
    place(*bottom[0], scale(bottom), parameter_.scale_param().axis(), "scale");
    top[0]->reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override {
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

  bool can_follow() const override { return !scale_is_bottom_; }

  void begin_forward(const Blobs& bottom) override {
    factors_ = scale(bottom).cpu_data();
    shifts_ = has_bias() ? bias().cpu_data() : nullptr;
  }

  void forward_block(const ChannelBlock& block, const float* x, float* y) override {
    const float shift = shifts_ == nullptr ? 0 : shifts_[block.channel];
    kernels().blocks.multiply_add(x, 0, factors_[block.channel], shift, y, block.count());
  }

  void begin_backward() override {
    scale_sums_.clear(layout().channels);
    bias_sums_.clear(layout().channels);
  }

  void backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                      const float* dy, float* dx) override {
    const BlockKernels& loops = kernels().blocks;
    scale_sums_.add(block.channel, loops.dot(x, 0, dy, block.count()));
    if (has_bias()) bias_sums_.add(block.channel, loops.sum(dy, block.count()));
    loops.multiply_add(dy, 0, factors_[block.channel], 0, dx, block.count());
  }

  void end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) override {
    if (scale_is_bottom_ && propagate_down[1]) bottom[1]->set_diff(0);
    if (scale_is_bottom_ ? propagate_down[1] : learns(0))
      scale_sums_.add_to(scale(bottom).mutable_cpu_diff());
    if (has_bias() && learns(static_cast<int>(blobs_.size()) - 1))
      bias_sums_.add_to(bias().mutable_cpu_diff());
  }

 private:
  /// A factor for each sample and channel, as squeeze-and-excitation has it.
  ChannelRule rule_of_two(const Blobs& bottom) const {
    const Shape& scale = bottom[1]->shape();
    const bool is_per_channel = parameter_.scale_param().axis() == 0 && scale.size() == 2;
    if (!is_per_channel || has_bias()) return ChannelRule::wall();
    ChannelRule rule = ChannelRule::pointwise();
    rule.coupled = 2;
    rule.is_product = true;
    return rule;
  }

  bool has_bias() const { return parameter_.scale_param().bias_term(); }
  Blob& scale(const Blobs& bottom) const { return scale_is_bottom_ ? *bottom[1] : *blobs_[0]; }
  Blob& bias() const { return *blobs_.back(); }

  bool scale_is_bottom_ = false;
  const float* factors_ = nullptr;
  const float* shifts_ = nullptr;
  ChannelSums scale_sums_;
  ChannelSums bias_sums_;
};

REGISTER_LAYER(Scale, CPU, ScaleLayer);

}  // namespace vibnet
