#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "compress/compressor.h"
#include "compress/threshold_search.h"
#include "net/cost.h"
#include "vibnet.pb.h"
#include "vibnet/compress.h"
#include "vibnet/net.h"

namespace vibnet {

/// The shapes of blobs by name, batch first.
using InputShapes = std::map<std::string, std::vector<int>>;

/// What a net with these weights would cost if it kept other units. Writes no weights, so that many
/// can be asked for.
class UnitPlanner {
 public:
  UnitPlanner(const NetParameter& model, NetParameter weights, const CompressOptions& options);

  /// The gate layers of the weights.
  const NetParameter& gates() const { return gates_; }
  /// These units can never be kept again.
  void shut(Kept units) { shut_ = std::move(units); }
  /// unit_scores() of the gates; not a number for units that are shut.
  Scores scores() const;
  /// The net for deployment, its shapes alone, when these units are kept. An empty net where every
  /// path to the outputs would be lost. Throws Error where compress() does so with all units kept.
  NetParameter plan(const Kept& kept);
  NetCost cost(const Kept& kept);

 private:
  NetParameter gates_;
  Kept shut_;
  Compressor compressor_;
};

/// What a net would cost if it were compressed now. Reads no data.
class CompressedCost {
 public:
  /// `model` is the prototxt, all phases; `source` a net whose data layers make what its do.
  CompressedCost(NetParameter model, const Net& source);

  void set_model(NetParameter model) { model_ = std::move(model); }
  /// The net as it is, gates and all, for deployment.
  NetParameter dense() const;
  /// The net without the units that its gates do not keep.
  CompressedNet compressed(NetParameter weights) const;
  /// For other units than the gates keep. `weights` holds the layers' blobs, the gates' of other
  /// phases too.
  UnitPlanner planner(NetParameter weights) const;

 private:
  CompressOptions options() const;

  NetParameter model_;
  InputShapes input_shapes_;
};

/// What the sources of a net make.
InputShapes source_shapes(const Net& net);

/// What a deployment net costs; nothing for an empty one.
NetCost cost_of_deployment(const NetParameter& deploy);

/// The gates of a net with weights: what compression asks of them.
std::vector<const LayerParameter*> gates_of(const NetParameter& weights);
/// Gates that share their parameters keep a unit together: all that one of them keeps.
Kept join_twins(Kept kept, const NetParameter& weights);
/// Moves the units of all gates to the sides of their thresholds that `kept` names.
void settle_gates(const Kept& kept, NetParameter* weights);
/// The units that the gates keep as they are.
Kept kept_units(const NetParameter& weights);
/// Per gate and unit, how little it carries, less the gate's threshold: kept below 0.
Scores unit_scores(const NetParameter& weights);

}  // namespace vibnet
