#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/net.h"

namespace vibnet {

/// What a net would cost if it were compressed, as shares of the dense net's at the run's
/// beginning.
struct TrainingCost {
  double weights = 0;
  double flops = 0;
  double activation_memory = 0;
  double latency_ms = 0;  // measured where the target is one
};

/// What a training run tells whoever watches it.
struct TrainingStep {
  std::int64_t iteration = 0;
  double loss = 0;  // mean over average_loss iterations
  double kl = 0;    // sum of the gates' penalties, gamma taken in
  double learning_rate = 0;
  double kl_weight = 0;
  std::vector<std::vector<bool>> kept;  // per gate, per unit
  /// When it was last looked at; none in a run without target and kl_cost.
  std::optional<TrainingCost> cost;
};

struct TestResult {
  std::int64_t iteration = 0;
  int net = 0;
  std::vector<std::pair<std::string, double>> outputs;  // mean over test_iter
};

class SolverObserver {
 public:
  virtual ~SolverObserver() = default;
  virtual void on_step(const TrainingStep& /*step*/) {}
  virtual void on_test(const TestResult& /*result*/) {}
  virtual void on_snapshot(const std::string& /*solverstate*/) {}
};

/// What a run is asked to do between two batches, from a signal handler say. STOP takes a snapshot
/// first.
enum class SolverAction { NONE, SNAPSHOT, STOP };

class Steering;
class DeadUnits;
class GradientSum;
class Passes;
class UpdateRule;
class Updater;
struct SolverNets;
struct UpdateFactors;

/// Trains a net as a SolverParameter says (Caffe's Solver): by SGD, Nesterov, AdaGrad, RMSProp,
/// AdaDelta, Adam or AdamW.
class Solver {
 public:
  /// Makes the train and test nets, and starts from the parameter's `weights` if it names any.
  /// `path` is the solver's file, for messages. With `resume`, a solverstate, goes on from there
  /// and from the caffemodel that it names. Throws Error for what the parameter cannot mean, and
  /// for a solverstate that does not fit. Each of several `ranks` makes such a solver, and calls
  /// the same; they work on shares of each batch, and have the same net at all times.
  Solver(const SolverParameter& parameter, const std::string& path, const Device& device,
         const std::string& resume = "", Communicator* ranks = &one_rank());
  ~Solver();

  void set_observer(SolverObserver* observer) { observer_ = observer; }
  /// Asked before each batch of training or testing. What any rank is asked, all do.
  void set_action_source(std::function<SolverAction()> source) {
    action_source_ = std::move(source);
  }

  /// Starts from these weights; layers the file lacks keep their fillers' values.
  void copy_weights(const std::string& caffemodel);

  /// Runs up to max_iter. Returns false when an action stopped it, after a snapshot.
  bool solve();
  /// Runs this many iterations.
  void step(std::int64_t iterations);
  /// Writes PREFIX_iter_N.caffemodel and .solverstate; returns the latter's path. PREFIX is the
  /// parameter's snapshot_prefix, else the solver's file without its extension. The first of
  /// several ranks writes. Throws Error where they have come to different nets.
  std::string snapshot();
  /// One result per test net; none when an action stopped it.
  std::vector<TestResult> test();

  Net& net() { return *net_; }
  const Net& net() const { return *net_; }
  /// The prototxt of the net as it is now, all phases: smaller than the given one where dead units
  /// were cut out.
  const NetParameter& model() const;
  std::int64_t iteration() const { return iteration_; }
  const SolverParameter& parameter() const { return parameter_; }
  std::uint64_t seed() const { return seed_; }

  /// The gates of the uncut net, and how many units each has there.
  struct Gate {
    std::string name;
    int units;
  };
  const std::vector<Gate>& gates() const { return gates_; }
  /// That the training net's data layers have let it wait, in all.
  double seconds_waited() const;

 private:
  void read_nets(const std::string& path, const SolverState& state);
  void make_nets();
  void make_history();
  int check_interval() const;
  void make_updater();
  void make_dead_units(const std::string& path);
  void check_dead_units();
  void forget_frozen_units();
  void compact();
  std::vector<NetParameter> history_by_layer() const;
  void set_history(const std::vector<NetParameter>& by_layer);
  std::vector<bool> kept_units(const Gate& gate) const;
  void make_steering(const std::string& path, bool begins);
  void step_until(std::int64_t end);
  SolverAction next_action();
  void take_action();
  void step_once();
  /// With the update, unless `is_looked_at` before it.
  void forward_backward(bool is_looked_at);
  void update();
  UpdateFactors update_factors() const;
  TrainingStep describe(double loss) const;
  TestResult test_net(int index);
  void check_that_ranks_agree();
  void write_snapshot(const std::string& base);
  double learning_rate() const;
  double kl_weight() const;
  void check_snapshot_folder() const;
  void restore(const SolverState& state, const std::string& path);
  void check_state(const SolverState& state, const std::string& path) const;

  SolverParameter parameter_;
  std::uint64_t seed_ = 0;
  Device device_;
  Communicator* ranks_;
  std::unique_ptr<SolverNets> nets_;
  std::unique_ptr<Net> net_;
  std::vector<std::unique_ptr<Net>> test_nets_;
  std::vector<Gate> gates_;
  /// None without compact_interval and freeze_interval.
  std::unique_ptr<DeadUnits> dead_units_;
  bool is_compacted_ = false;
  std::unique_ptr<UpdateRule> rule_;
  /// None for one rank.
  std::unique_ptr<GradientSum> gradient_sum_;
  /// None without target and kl_cost.
  std::unique_ptr<Steering> steering_;
  /// One list a parameter: what the rule remembers of it.
  std::vector<std::vector<std::unique_ptr<Blob>>> history_;
  std::unique_ptr<Updater> updater_;
  std::unique_ptr<Passes> passes_;
  /// Of the nets before the last compaction.
  double seconds_waited_ = 0;
  std::int64_t iteration_ = 0;
  SolverObserver* observer_ = nullptr;
  std::function<SolverAction()> action_source_;
  bool is_stopped_ = false;
};

}  // namespace vibnet
