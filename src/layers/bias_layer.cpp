#include <algorithm>

#include "layers/broadcast_layer.h"
#include "layers/channel_sums.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = x + bias, the bias broadcast over the axes it does not have, in place if asked (Caffe's
/// Bias).
///
/// Bottoms: x, outer x bias x inner around `axis`; the bias, unless it is a parameter. Parameter:
/// the bias, of num_axes axes of x from `axis` on.
class BiasLayer : public BroadcastLayer {
 public:
  using BroadcastLayer::BroadcastLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
    const BiasParameter& parameter = parameter_.bias_param();
    bias_is_bottom_ = bottom.size() > 1;
    if (!bias_is_bottom_)
      add_blob(operand_shape(*bottom[0], parameter.axis(), parameter.num_axes()),
               &parameter.filler());
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    place(*bottom[0], bias(bottom), parameter_.bias_param().axis(), "bias");
    top[0]->reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    const BiasParameter& p = parameter_.bias_param();
    if (bias_is_bottom_ || p.axis() != 1 || blobs_[0]->axes() == 0) return ChannelRule::wall();
    ChannelRule rule = ChannelRule::pointwise();
    if (blobs_[0]->axes() != 1) rule.constants = ChannelRule::Constants::NONE;
    rule.channel_blobs = 1;
    rule.has_shift = true;
    return rule;
  }

  bool can_follow() const override { return !bias_is_bottom_; }
  bool needs_x() const override { return false; }

  void begin_forward(const Blobs& bottom) override { shifts_ = bias(bottom).cpu_data(); }

  void forward_block(const ChannelBlock& block, const float* x, float* y) override {
    kernels().blocks.multiply_add(x, 0, 1, shifts_[block.channel], y, block.count());
  }

  void begin_backward() override { sums_.clear(layout().channels); }

  void backward_block(const ChannelBlock& block, const float* /*x*/, const float* /*y*/,
                      const float* dy, float* dx) override {
    sums_.add(block.channel, kernels().blocks.sum(dy, block.count()));
    if (dx != dy) std::copy_n(dy, block.count(), dx);
  }

  void end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) override {
    if (bias_is_bottom_ && propagate_down[1]) bottom[1]->set_diff(0);
    if (bias_is_bottom_ ? propagate_down[1] : learns(0))
      sums_.add_to(bias(bottom).mutable_cpu_diff());
  }

 private:
  Blob& bias(const Blobs& bottom) const { return bias_is_bottom_ ? *bottom[1] : *blobs_[0]; }

  bool bias_is_bottom_ = false;
  const float* shifts_ = nullptr;
  ChannelSums sums_;
};

REGISTER_LAYER(Bias, CPU, BiasLayer);

}  // namespace vibnet
