#include <algorithm>
#include <cmath>

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = log(1 + exp(x)), a smooth ReLU (Caffe's BNLL).
struct BNLLFormula {
  explicit BNLLFormula(const LayerParameter& /*parameter*/) {}
  float value(float x) const { return std::max(x, 0.0f) + std::log1p(std::exp(-std::fabs(x))); }
  float slope(float /*x*/, float y) const { return -std::expm1(-y); }
  bool slope_reads_x() const { return false; }
};

REGISTER_LAYER(BNLL, CPU, ElementwiseLayer<BNLLFormula>);

}  // namespace vibnet
