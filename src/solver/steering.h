#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "solver/compaction.h"
#include "solver/compressed_cost.h"
#include "solver/target.h"
#include "solver/target_control.h"
#include "vibnet.pb.h"
#include "vibnet/solver.h"

namespace vibnet {

/// Throws Error for a target or a kl_cost that a net with so many gates cannot be steered by;
/// whether the target can be reached, only the net can tell.
void check_steering(const SolverParameter& parameter, std::size_t gates);

/// Sets the pressure of a run: kl_weight after the solver's target, the bottlenecks' cost factors
/// after its kl_cost.
///
/// Fifty times a run it looks at what the net would cost. The pressure stays below where it would
/// drown what the data has to say on which units are best. When the units that the target has
/// room for are found, the net is settled: the others make nothing any more, those stay, and there
/// is no pressure from there on. The net of a snapshot is then the one that was asked for.
class Steering {
 public:
  /// Throws Error where the parameter makes no sense for the net. All `ranks` steer alike.
  Steering(const SolverParameter& parameter, CompressedCost cost, const Net& net,
           Communicator* ranks = &one_rank());

  /// True where the solver needs one.
  static bool is_asked(const SolverParameter& parameter) {
    return parameter.has_target() || parameter.kl_cost() != SolverParameter::UNITS;
  }

  /// For a run that begins with this net, which the target's shares are of. Throws Error where the
  /// target cannot be reached.
  void begin(const Net& net);
  /// To be called before each iteration.
  void steer(std::int64_t iteration, Net* net);
  /// Whether update() looks at the gradients of this iteration on the host.
  bool looks(std::int64_t iteration) const;
  bool is_settled() const { return is_settled_; }
  /// To be called between each iteration's last backward and its update, for which it takes `step`.
  /// Units of a settled net stay on their sides of the threshold.
  void update(const std::function<void()>& step, Net* net);

  /// The units that the target may have room for, which must not be cut out even if they are dead:
  /// some are needed to come to it exactly. None without a target, and when the net is settled.
  LivingUnits spared(const Net& net) const;
  /// The net goes on as this one, its dead units cut out. `model` is the prototxt of the TEST
  /// phase.
  void follow_cut(NetParameter model, Net* net);

  double kl_weight() const;
  const TrainingCost& cost() const { return found_; }

  SolverState::Steering to_proto(const Net& net) const;
  /// Throws Error for the state of another solver.
  void restore(const SolverState::Steering& state, Net* net);

 private:
  UnitPlanner planner(const Net& net) const;
  void look(const Kept& kept, UnitPlanner* planner);
  bool must_settle(double done) const;
  void settle(bool can_wait, UnitPlanner* planner, Net* net);
  void settle_anew(Net* net);
  void control(double done, UnitPlanner* planner);
  void renew_factors(const Kept& kept, UnitPlanner* planner);
  void set_factors(Net* net) const;
  int least_units(const GateLayer& gate) const;
  void guard(Net* net) const;

  SolverParameter parameter_;
  Communicator* ranks_;
  CompressedCost compressed_;
  std::optional<Target> target_;
  TargetControl control_;
  std::int64_t interval_;
  NetCost dense_;
  TrainingCost found_;
  /// The target, of what the dense net has.
  double share_ = 1;
  bool is_settled_ = false;
  /// The most that kl_weight may be: the last gradients before a look say so, which a resumed run
  /// does not have.
  double most_ = std::numeric_limits<double>::infinity();
  /// Where the ranking met the target last.
  int rank_ = 0;
  /// Per gate, and how many units lived when they were found.
  std::vector<double> factors_;
  std::vector<double> living_;
};

}  // namespace vibnet
