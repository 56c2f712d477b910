#include <cmath>

#include "layers/elementwise_layer.h"
#include "layers/log_base.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = base ^ (scale x + shift); base -1, the default, is e (Caffe's Exp).
struct ExpFormula {
  explicit ExpFormula(const LayerParameter& parameter)
      : inner(log_base(parameter.exp_param().base()) * parameter.exp_param().scale()),
        outer(std::exp(log_base(parameter.exp_param().base()) * parameter.exp_param().shift())) {}
  float value(float x) const { return outer * std::exp(inner * x); }
  float slope(float /*x*/, float y) const { return inner * y; }
  bool slope_reads_x() const { return false; }

  float inner;
  float outer;
};

REGISTER_LAYER(Exp, CPU, ElementwiseLayer<ExpFormula>);

}  // namespace vibnet
