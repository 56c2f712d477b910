#pragma once

#include <cmath>

#include "vibnet.pb.h"
#include "vibnet/communicator.h"

namespace vibnet {

/// Whether a LossParameter or AccuracyParameter says to ignore this label. A label's fraction does
/// not count, as in Caffe.
template <typename Parameter>
bool is_ignored(const Parameter& parameter, float label) {
  return parameter.has_ignore_label() &&
         std::trunc(label) == static_cast<float>(parameter.ignore_label());
}

/// How many values a loss is over, how many of them it does not ignore, and how many samples.
struct LossCounts {
  int full = 0;
  int valid = 0;
  int batch = 0;
};

/// Adds what the other ranks have summed and counted of the batch.
void sum_over_ranks(Communicator* ranks, double* loss, LossCounts* counts);

/// What the summed loss is divided by, never less than 1; `mode` is for a parameter that says
/// nothing.
float loss_normalizer(const LossParameter& parameter, LossParameter::NormalizationMode mode,
                      const LossCounts& counts);

}  // namespace vibnet
