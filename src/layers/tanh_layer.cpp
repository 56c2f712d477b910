#include <cmath>

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = tanh(x) (Caffe's TanH).
struct TanHFormula {
  explicit TanHFormula(const LayerParameter& /*parameter*/) {}
  float value(float x) const { return std::tanh(x); }
  float slope(float /*x*/, float y) const { return 1 - y * y; }
  bool slope_reads_x() const { return false; }
};

REGISTER_LAYER(TanH, CPU, ElementwiseLayer<TanHFormula>);

}  // namespace vibnet
