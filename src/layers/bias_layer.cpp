#include <algorithm>

#include "layers/broadcast_layer.h"
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
    if (bottom.size() == 1)
      add_blob(operand_shape(*bottom[0], parameter.axis(), parameter.num_axes()),
               &parameter.filler());
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    place(*bottom[0], bias(bottom), parameter_.bias_param().axis(), "bias");
    top[0]->reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override {
    const BiasParameter& p = parameter_.bias_param();
    if (bottom.size() > 1 || p.axis() != 1 || blobs_[0]->axes() == 0) return ChannelRule::wall();
    ChannelRule rule = ChannelRule::pointwise();
    if (blobs_[0]->axes() != 1) rule.constants = ChannelRule::Constants::NONE;
    rule.channel_blobs = 1;
    rule.has_shift = true;
    return rule;
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    const float* bias = this->bias(bottom).cpu_data();
    float* y = top[0]->mutable_cpu_data();
    for_each_row([=](std::int64_t operand, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] + bias[operand];
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* dy = top[0]->cpu_diff();
    const bool bias_is_bottom = bottom.size() > 1;
    if (bias_is_bottom && propagate_down[1]) bottom[1]->set_diff(0);
    if (bias_is_bottom ? propagate_down[1] : learns(0))
      add_sums([=](std::int64_t i) { return dy[i]; }, bias(bottom).mutable_cpu_diff());
    if (propagate_down[0] && bottom[0] != top[0])
      std::copy_n(dy, bottom[0]->count(), bottom[0]->mutable_cpu_diff());
  }

 private:
  Blob& bias(const Blobs& bottom) const { return bottom.size() > 1 ? *bottom[1] : *blobs_[0]; }
};

REGISTER_LAYER(Bias, CPU, BiasLayer);

}  // namespace vibnet
