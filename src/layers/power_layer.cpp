#include <cmath>

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = (scale x + shift) ^ power (Caffe's Power).
struct PowerFormula {
  explicit PowerFormula(const LayerParameter& parameter)
      : power(parameter.power_param().power()),
        scale(parameter.power_param().scale()),
        shift(parameter.power_param().shift()) {}
  float value(float x) const { return power == 1 ? inner(x) : std::pow(inner(x), power); }
  float slope(float x, float /*y*/) const {
    if (power == 1 || power * scale == 0) return power * scale;
    return power * scale * std::pow(inner(x), power - 1);
  }
  bool slope_reads_x() const { return power != 1; }

  float inner(float x) const { return scale == 0 ? shift : scale * x + shift; }

  float power;
  float scale;
  float shift;
};

REGISTER_LAYER(Power, CPU, ElementwiseLayer<PowerFormula>);

}  // namespace vibnet
