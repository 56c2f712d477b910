#include "layers/loss.h"

#include <algorithm>

namespace vibnet {

float loss_normalizer(const LossParameter& parameter, LossParameter::NormalizationMode mode,
                      const LossCounts& counts) {
  if (parameter.has_normalization())
    mode = parameter.normalization();
  else if (parameter.has_normalize())
    mode = parameter.normalize() ? LossParameter::VALID : LossParameter::BATCH_SIZE;
  switch (mode) {
    case LossParameter::FULL:
      return static_cast<float>(std::max(1, counts.full));
    case LossParameter::BATCH_SIZE:
      return static_cast<float>(std::max(1, counts.batch));
    case LossParameter::NONE:
      return 1;
    default:
      return static_cast<float>(std::max(1, counts.valid));
  }
}

}  // namespace vibnet
