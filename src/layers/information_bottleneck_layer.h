#pragma once

#include "layers/gate_layer.h"

namespace vibnet {

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
  void draw_factors() override;
  void add_gradients() override;
};

}  // namespace vibnet
