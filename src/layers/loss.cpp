#include "layers/loss.h"

namespace vibnet {

LossNormalizer loss_normalizer(const LossParameter& parameter,
                               LossParameter::NormalizationMode mode, int full, int batch) {
  if (parameter.has_normalization())
    mode = parameter.normalization();
  else if (parameter.has_normalize())
    mode = parameter.normalize() ? LossParameter::VALID : LossParameter::BATCH_SIZE;
  switch (mode) {
    case LossParameter::FULL:
      return {false, full};
    case LossParameter::BATCH_SIZE:
      return {false, batch};
    case LossParameter::NONE:
      return {false, 1};
    default:
      return {true, 0};
  }
}

}  // namespace vibnet
