#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/net.h"

namespace vibnet {

/// For each gate layer, by name, the units that still live.
using LivingUnits = std::map<std::string, std::vector<bool>>;

/// Finds the units of a net's gates that are dead for good: a unit must have been above the
/// threshold at so many checks in a row, since one that only passes through may come back.
class DeadUnits {
 public:
  DeadUnits(float threshold, int patience) : threshold_(threshold), patience_(patience) {}

  /// Counts, and freezes the units that are dead now. Returns true if there are new ones. Those of
  /// `spared` never are.
  bool check(const Net& net, const LivingUnits& spared = {});
  LivingUnits living() const;
  /// Takes all units but these for dead too, and freezes them. `kept` as in CompactedNet.
  void keep(const std::map<std::string, std::vector<int>>& kept, const Net& net);
  /// The counts of the units that are left of a net when it is cut; those that stay although they
  /// are dead are frozen in the new one.
  void cut(const std::map<std::string, std::vector<int>>& kept, const Net& net);

  void to_state(SolverState* state) const;
  /// Throws Error where the state's counts are not those of the net's gates.
  void from_state(const SolverState& state, const Net& net);

 private:
  void freeze(const Net& net) const;

  float threshold_;
  int patience_;
  std::map<std::string, std::vector<std::uint32_t>> checks_;
};

/// A net cut while it is trained.
struct CompactedNet {
  NetParameter model;    // all phases
  NetParameter weights;  // with diffs where the given ones had some
  /// What goes with the weights, cut like them.
  std::vector<NetParameter> companions;
  /// Of each gate that is left, the units that are, by their numbers in the uncut net.
  std::map<std::string, std::vector<int>> kept;
  /// The first layer that needs a dead unit, which therefore stays; empty for none.
  std::string why_left;
};

/// Cuts the dead units out of a net in training, with all that only they are made of or lead to;
/// the gates stay. What is left computes in TRAIN what the net with those units frozen does.
/// `model` is the prototxt of all phases, `companions` hold tensors like the weights' under the
/// layers' names. Where every path to an output is dead, the best unit of each wholly dead gate is
/// taken for living.
CompactedNet compact(const NetParameter& model, const Net& net,
                     const std::vector<NetParameter>& companions, LivingUnits living);
/// Only which units would be left: CompactedNet::kept.
std::map<std::string, std::vector<int>> kept_by_compaction(const NetParameter& model,
                                                           const Net& net, LivingUnits living);

}  // namespace vibnet
