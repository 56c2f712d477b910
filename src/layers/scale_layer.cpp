#include <algorithm>

#include "layers/broadcast_layer.h"
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
    if (bottom.size() == 1) {
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
    if (bottom[0] == top[0]) kept_x_.reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override {
    if (bottom.size() > 1) return rule_of_two(bottom);
    if (parameter_.scale_param().axis() != 1 || blobs_[0]->axes() == 0) return ChannelRule::wall();
    ChannelRule rule = ChannelRule::pointwise();
    if (!has_bias()) rule.homogeneous = ChannelRule::Homogeneous::ALWAYS;
    if (blobs_[0]->axes() != 1)  // a factor for each place
      rule.constants = has_bias() ? ChannelRule::Constants::NONE : ChannelRule::Constants::ZERO;
    rule.channel_blobs = static_cast<int>(blobs_.size());
    rule.has_shift = has_bias();
    return rule;
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    if (bottom[0] == top[0]) std::copy_n(x, bottom[0]->count(), kept_x_.mutable_cpu_data());
    const float* scale = this->scale(bottom).cpu_data();
    const float* bias = has_bias() ? this->bias().cpu_data() : nullptr;
    float* y = top[0]->mutable_cpu_data();
    for_each_row([=](std::int64_t operand, std::int64_t begin, std::int64_t end) {
      const float factor = scale[operand];
      const float shift = bias == nullptr ? 0 : bias[operand];
      for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] * factor + shift;
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* x = bottom[0] == top[0] ? kept_x_.cpu_data() : bottom[0]->cpu_data();
    const float* dy = top[0]->cpu_diff();
    const bool scale_is_bottom = bottom.size() > 1;
    if (scale_is_bottom && propagate_down[1]) bottom[1]->set_diff(0);
    if (scale_is_bottom ? propagate_down[1] : learns(0))
      add_sums([=](std::int64_t i) { return dy[i] * x[i]; }, scale(bottom).mutable_cpu_diff());
    if (has_bias() && learns(static_cast<int>(blobs_.size()) - 1))
      add_sums([=](std::int64_t i) { return dy[i]; }, bias().mutable_cpu_diff());
    if (!propagate_down[0]) return;
    const float* scale = this->scale(bottom).cpu_data();
    float* dx = bottom[0]->mutable_cpu_diff();
    for_each_row([=](std::int64_t operand, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * scale[operand];
    });
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
  Blob& scale(const Blobs& bottom) const { return bottom.size() > 1 ? *bottom[1] : *blobs_[0]; }
  Blob& bias() const { return *blobs_.back(); }

  /// x of an in-place forward, for the scale's gradient.
  Blob kept_x_;
};

REGISTER_LAYER(Scale, CPU, ScaleLayer);

}  // namespace vibnet
