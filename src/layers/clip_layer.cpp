#include <algorithm>

#include "layers/elementwise_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = x held between `min` and `max`, whose gradient passes at both bounds (Caffe's Clip).
struct ClipFormula {
  explicit ClipFormula(const LayerParameter& parameter)
      : min(parameter.clip_param().min()), max(parameter.clip_param().max()) {
    if (!parameter.has_clip_param()) fail("clip_param { min: ... max: ... } is missing");
  }
  float value(float x) const { return std::max(min, std::min(x, max)); }
  float slope(float x, float /*y*/) const { return x >= min && x <= max ? 1.0f : 0.0f; }
  bool slope_reads_x() const { return true; }

  float min;
  float max;
};

REGISTER_LAYER(Clip, CPU, ElementwiseLayer<ClipFormula>);

}  // namespace vibnet
