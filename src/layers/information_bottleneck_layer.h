#pragma once

#include <algorithm>
#include <cmath>

#include "layers/gate_layer.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// 1/2 log(1 + mu^2 / sigma^2).
VIBNET_HOST_DEVICE inline double bottleneck_kl(double mu, double log_sigma2) {
  constexpr double kFits = 500;  // e to that times the square of a float is a double
  if (log_sigma2 > -kFits) return 0.5 * std::log1p(mu * mu * std::exp(-log_sigma2));
  const double log_ratio = std::log(mu * mu) - log_sigma2;
  return 0.5 * (std::max(log_ratio, 0.0) + std::log1p(std::exp(-std::fabs(log_ratio))));
}

/// mu^2 + sigma^2, kept off 0 so that the KL term's gradients stay finite.
VIBNET_HOST_DEVICE inline double second_moment(double mu, double log_sigma2) {
  return std::max(mu * mu + std::exp(log_sigma2), 1e-60);
}

/// The variational information bottleneck of VIBNet (Dai, Zhu, Guo, Wipf, ICML 2018), a gate.
///
/// Parameters, one per channel: mu, and log sigma^2. TRAIN: z[n,c] = mu_c + sigma_c eps[n,c],
/// eps ~ N(0, 1). TEST: mu_c for a kept channel, which is one with log sigma^2 - log mu^2 below
/// `threshold`, else 0.
class InformationBottleneckLayer : public GateLayer {
 public:
  InformationBottleneckLayer(const LayerParameter& parameter, const Context& context)
      : GateLayer(parameter, context, parameter.information_bottleneck_param()) {}

  void set_up(const Blobs& bottom, const Blobs& top) override;
  /// 1/2 sum_c log(1 + mu_c^2 / sigma_c^2), times the layer's kl_scale.
  double kl() const override;

 protected:
  void draw_factors(const SampleVisit& visit) override;
  std::array<double, 2> kl_gradient(int unit, double weight) const override;
  void add_gradients() override;

 private:
  template <typename Visit>
  void on_all_units(const Visit& visit) const;
};

}  // namespace vibnet
