#include "layers/elementwise_layer.h"
#include "math/sigmoid.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = 1 / (1 + exp(-x)) (Caffe's Sigmoid).
struct SigmoidFormula {
  explicit SigmoidFormula(const LayerParameter& /*parameter*/) {}
  float value(float x) const { return sigmoid(x); }
  float slope(float /*x*/, float y) const { return y * (1 - y); }
  bool slope_reads_x() const { return false; }
};

REGISTER_LAYER(Sigmoid, CPU, ElementwiseLayer<SigmoidFormula>);

}  // namespace vibnet
