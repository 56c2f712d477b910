#include "layers/loss.h"

namespace vibnet {

LossSums LossSums::over(Communicator* ranks) const {
  double sums[] = {loss, valid};
  ranks->sum(sums, 2);
  return {sums[0], sums[1]};
}

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
