#include "layers/elementwise_layer.h"
#include "math/sigmoid.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = x sigmoid(beta x) (Caffe's Swish).
struct SwishFormula {
  explicit SwishFormula(const LayerParameter& parameter) : beta(parameter.swish_param().beta()) {}
  float value(float x) const { return x * sigmoid(beta * x); }
  float slope(float x, float /*y*/) const {
    const float gate = sigmoid(beta * x);
    return gate + beta * x * gate * (1 - gate);
  }
  bool slope_reads_x() const { return true; }

  float beta;
};

REGISTER_LAYER(Swish, CPU, ElementwiseLayer<SwishFormula>);

}  // namespace vibnet
