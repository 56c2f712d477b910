#pragma once

#include <string>
#include <vector>

#include "compress/threshold_search.h"
#include "net/cost.h"
#include "vibnet.pb.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"

namespace vibnet {

/// What a net would cost if it were compressed now. Reads no data, and computes no weights.
class CompressedCost {
 public:
  /// `model` is the prototxt, all phases; `source` a net that has the blobs its data layers make,
  /// whose shapes count but for the batch, which is 1.
  CompressedCost(NetParameter model, const Net& source);

  /// The net as it is, gates and all, for deployment.
  NetParameter dense() const;
  /// The net without the units that its gates do not keep.
  CompressedNet compressed(NetParameter weights) const;
  /// The net for deployment when these units are kept of it. `weights` holds the layers' blobs; it
  /// is used up. An empty net where a layer would lose every unit. Throws Error where compress()
  /// does so with all units kept.
  NetParameter compressed(NetParameter weights, const Kept& kept) const;
  NetCost cost(const NetParameter& weights, const Kept& kept) const;

 private:
  NetParameter model_;
  std::vector<int> input_shape_;
};

/// What a deployment net costs; nothing for an empty one.
NetCost cost_of_deployment(const NetParameter& deploy);

/// The gates of a net with weights: what compression asks of them.
std::vector<const LayerParameter*> gates_of(const NetParameter& weights);
/// Moves the units of all gates to the sides of their thresholds that `kept` names.
void settle_gates(const Kept& kept, NetParameter* weights);
/// The units that the gates keep as they are.
Kept kept_units(const NetParameter& weights);
/// Per gate and unit, how little it carries, less the gate's threshold: kept below 0.
Scores unit_scores(const NetParameter& weights);

}  // namespace vibnet
