#include "layers/loss.h"

#include <algorithm>

namespace vibnet {

void sum_over_ranks(Communicator* ranks, double* loss, LossCounts* counts) {
  if (ranks->size() == 1) return;
  double sums[] = {*loss, static_cast<double>(counts->full), static_cast<double>(counts->valid),
                   static_cast<double>(counts->batch)};
  ranks->sum(sums, 4);
  *loss = sums[0];
  *counts = {static_cast<int>(sums[1]), static_cast<int>(sums[2]), static_cast<int>(sums[3])};
}

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
