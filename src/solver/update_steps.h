#pragma once

#include <cmath>
#include <variant>

#include "core/update_factors.h"
#include "vibnet/host_device.h"

// The formulas of the update rules, for both devices. A rule is set to an iteration's factors and a
// parameter's rate (lr_mult in it); then it takes each value's gradient and history, h and s, and
// returns what is subtracted from the value.

namespace vibnet {

/// v = momentum v + rate g; data -= v.
struct SgdRule {
  static constexpr int kHistory = 1;
  float momentum;
  float rate = 0;

  VIBNET_HOST_DEVICE SgdRule with(const UpdateFactors& /*now*/, float of_parameter) const {
    return {momentum, of_parameter};
  }
  VIBNET_HOST_DEVICE float step(float g, float& h, float& /*s*/) const {
    h = momentum * h + rate * g;
    return h;
  }
};

/// v' = momentum v + rate g; data -= (1 + momentum) v' - momentum v.
struct NesterovRule {
  static constexpr int kHistory = 1;
  float momentum;
  float rate = 0;

  VIBNET_HOST_DEVICE NesterovRule with(const UpdateFactors& /*now*/, float of_parameter) const {
    return {momentum, of_parameter};
  }
  VIBNET_HOST_DEVICE float step(float g, float& h, float& /*s*/) const {
    const float before = h;
    h = momentum * before + rate * g;
    return (1 + momentum) * h - momentum * before;
  }
};

/// h = keep h + share g^2; data -= rate g / (sqrt(h) + delta). AdaGrad (Duchi et al. 2011): all
/// squares count alike. RMSProp (Tieleman and Hinton 2012): older ones fade by rms_decay.
struct RootOfSquaresRule {
  static constexpr int kHistory = 1;
  float keep;
  float share;
  float delta;
  float rate = 0;

  VIBNET_HOST_DEVICE RootOfSquaresRule with(const UpdateFactors& /*now*/,
                                            float of_parameter) const {
    return {keep, share, delta, of_parameter};
  }
  VIBNET_HOST_DEVICE float step(float g, float& h, float& /*s*/) const {
    h = keep * h + share * g * g;
    return rate * (g / (std::sqrt(h) + delta));
  }
};

/// Zeiler 2012, with momentum as the share of the past: h = momentum h + (1 - momentum) g^2,
/// step = g sqrt((s + delta) / (h + delta)), s = momentum s + (1 - momentum) step^2;
/// data -= rate step.
struct AdaDeltaRule {
  static constexpr int kHistory = 2;
  float momentum;
  float delta;
  float rate = 0;

  VIBNET_HOST_DEVICE AdaDeltaRule with(const UpdateFactors& /*now*/, float of_parameter) const {
    return {momentum, delta, of_parameter};
  }
  VIBNET_HOST_DEVICE float step(float g, float& h, float& s) const {
    h = momentum * h + (1 - momentum) * g * g;
    const float by = g * std::sqrt((s + delta) / (h + delta));
    s = momentum * s + (1 - momentum) * by * by;
    return rate * by;
  }
};

/// Kingma and Ba 2015. Caffe adds delta to the root before the bias of the squares is corrected,
/// AdamW (Loshchilov and Hutter 2019: the decay apart from the gradient) after it, as PyTorch does.
struct AdamRule {
  static constexpr int kHistory = 2;
  float beta1;
  float beta2;
  float delta;
  bool is_adamw = false;
  float rate = 0;

  VIBNET_HOST_DEVICE AdamRule with(const UpdateFactors& now, float of_parameter) const {
    AdamRule rule = *this;
    rule.rate = static_cast<float>(of_parameter * now.root / now.bias);
    if (is_adamw) rule.delta = static_cast<float>(delta * now.root);
    return rule;
  }
  VIBNET_HOST_DEVICE float step(float g, float& h, float& s) const {
    h = beta1 * h + (1 - beta1) * g;
    s = beta2 * s + (1 - beta2) * g * g;
    return rate * h / (std::sqrt(s) + delta);
  }
};

using UpdateSteps = std::variant<SgdRule, NesterovRule, RootOfSquaresRule, AdaDeltaRule, AdamRule>;

}  // namespace vibnet
