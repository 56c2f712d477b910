#pragma once

#include "layers/gate_layer.h"

namespace vibnet {

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
  void draw_factors() override;
  void add_gradients() override;
  const HardConcreteParameter& gate() const { return parameter_.hard_concrete_param(); }
  /// beta log(-left / right): the gate is open at all with probability sigmoid(log_alpha - this).
  double open_shift() const;

 private:
  double open_probability(int unit) const;
  /// sigmoid(x), stretched and clipped, where dx / dlog_alpha is `by_log_alpha`.
  GateDraw stretch(float x, float by_log_alpha) const;
};

}  // namespace vibnet
