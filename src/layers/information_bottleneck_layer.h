#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// The variational information bottleneck of VIBNet (Dai, Zhu, Guo, Wipf, ICML 2018).
///
/// Bottom and top: N x C x .... Parameters, one per channel: mu, and log sigma^2.
/// TRAIN: y[n,c,s] = x[n,c,s] (mu_c + sigma_c eps[n,c]), eps ~ N(0, 1). TEST: y = x mu_c for a kept
/// channel, else 0. Adds gamma * kl_weight * kl() to the objective.
class InformationBottleneckLayer : public Layer {
 public:
  using Layer::Layer;

  float default_decay_mult(int /*index*/) const override { return 0; }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    ChannelRule rule = ChannelRule::pointwise(ChannelRule::Homogeneous::ALWAYS);
    rule.channel_blobs = 2;
    return rule;
  }
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
  double penalty() const override { return gamma() * kl(); }

  /// 1/2 sum_c log(1 + mu_c^2 / sigma_c^2), times the layer's kl_scale.
  double kl() const;
  /// The weight of kl() in the objective: the layer's gamma times the solver's kl_weight, times the
  /// cost factor.
  double gamma() const;
  /// Per channel: log sigma^2 - log mu^2 < threshold.
  std::vector<bool> kept() const;
  int units() const { return channels_; }
  /// What kl_cost multiplies gamma by.
  void set_cost_factor(double factor) { cost_factor_ = factor; }
  /// Moves the units to the sides of the threshold that `kept` names; see settle_unit().
  void settle(const std::vector<bool>& kept);

 protected:
  bool is_training() const { return context_.phase == TRAIN; }

  int samples_ = 0;
  int channels_ = 0;
  int spatial_ = 0;
  double kl_scale_ = 1;
  double cost_factor_ = 1;

  /// N x C each: eps, the factor of each channel, and sum_s dL/dy x.
  Blob noise_;
  Blob multiplier_;
  Blob sums_;

 private:
  void draw_noise();
  void find_multipliers();
  void add_parameter_gradients();
};

}  // namespace vibnet
