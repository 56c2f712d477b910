#include <cmath>

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = |x| (Caffe's AbsVal).
struct AbsValFormula {
  explicit AbsValFormula(const LayerParameter& /*parameter*/) {}
  float value(float x) const { return std::fabs(x); }
  float slope(float x, float /*y*/) const { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }
  bool slope_reads_x() const { return true; }
};

REGISTER_LAYER(AbsVal, CPU, ElementwiseLayer<AbsValFormula>);

}  // namespace vibnet
