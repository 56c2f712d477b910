#pragma once

#include <map>
#include <string>
#include <vector>

#include "compress/graph.h"
#include "vibnet.pb.h"

namespace vibnet {

/// What says how much a unit carries in a net that was trained without gates.
enum class Criterion {
  /// Filter magnitude (Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient
  /// ConvNets", ICLR 2017): the sum of |w| of a filter, comparable within a layer only, and ranked
  /// within its group. The score is the share of the group's filters that are larger, from 0 to
  /// below 1; the threshold is thus the share that each group keeps, 1, all of them, to begin with.
  L1,
  /// Network slimming (Liu, Li, Shen, Huang, Yan, Zhang, ICCV 2017): the scale behind a BatchNorm,
  /// comparable across the net. The score is -|scale|; the threshold, 0 to begin with, is minus the
  /// least |scale| that is not kept.
  BATCH_NORM
};

/// The criterion of this name, "l1" or "batch_norm". Throws Error for another.
Criterion criterion_of(const std::string& name);

/// Puts an InformationBottleneck with mu = 1 and log sigma^2 = score behind every layer whose
/// outputs the criterion ranks, so that compress() and its threshold cut by this criterion as they
/// do by bottlenecks. For cutting, not for training.
///
/// A gate stands where the run of layers that work value by value ends (a convolution's BatchNorm,
/// Scale and ReLU): before pooling, a sum of branches or the next weights. Depthwise convolutions
/// and layers whose channels reach an output or a loss get none, and with BATCH_NORM those without
/// a BatchNorm and a Scale. `model`, `weights` and `input_shapes` as for compress(). Throws Error
/// for a net that has gates, and for one where no layer gets any.
NetWithWeights add_gates(const NetParameter& model, NetParameter weights,
                         const std::map<std::string, std::vector<int>>& input_shapes,
                         Criterion criterion);

}  // namespace vibnet
