#pragma once

#include <cmath>

#include "layers/gate_layer.h"
#include "math/sigmoid.h"
#include "vibnet/host_device.h"

namespace vibnet {

VIBNET_HOST_DEVICE inline double precise_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// sigmoid(x), stretched to left .. right and clipped to 0 .. 1.
struct StretchedSigmoid {
  float left, right;

  /// Where dx / dlog_alpha is `by_log_alpha`, and the slope is by log_alpha.
  VIBNET_HOST_DEVICE GateDraw at(float x, float by_log_alpha) const {
    const float s = sigmoid(x);
    const float width = right - left;
    const float stretched = s * width + left;
    if (stretched <= 0) return {0, 0};
    if (stretched >= 1) return {1, 0};
    return {stretched, width * s * (1 - s) * by_log_alpha};
  }
};

/// The hard-concrete gate of L0 regularization (Louizos, Welling, Kingma, ICLR 2018, section 2.2).
///
/// Parameter, one per channel: log_alpha. TRAIN: u ~ U(0, 1) for each sample and channel, as in the
/// bottleneck (the paper draws one u a channel for the whole batch);
/// s = sigmoid((log u - log(1 - u) + log_alpha) / beta); z[n,c] is s (right - left) + left, clipped
/// to [0, 1]: with some probability exactly 0, with some exactly 1. TEST: sigmoid(log_alpha),
/// stretched and clipped likewise; a channel is kept while that is above 0. Throws Error for
/// beta <= 0, left >= 0, right <= 1 or gamma < 0.
class HardConcreteLayer : public GateLayer {
 public:
  HardConcreteLayer(const LayerParameter& parameter, const Context& context)
      : GateLayer(parameter, context, parameter.hard_concrete_param()) {}

  void set_up(const Blobs& bottom, const Blobs& top) override;
  /// The expected number of open gates, sum_c sigmoid(log_alpha_c - beta log(-left / right)), times
  /// the layer's kl_scale.
  double kl() const override;

 protected:
  void draw_factors(const SampleVisit& visit) override;
  std::array<double, 2> kl_gradient(int unit, double weight) const override;
  void add_gradients() override;
  const HardConcreteParameter& gate() const { return parameter_.hard_concrete_param(); }
  /// beta log(-left / right): the gate is open at all with probability sigmoid(log_alpha - this).
  double open_shift() const;
  StretchedSigmoid stretched_sigmoid() const { return {gate().left(), gate().right()}; }

 private:
  double open_probability(int unit) const;
};

}  // namespace vibnet
