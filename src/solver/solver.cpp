#include "vibnet/solver.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/nan_field.h"
#include "layers/gate_layer.h"
#include "math/parallel.h"
#include "solver/compaction.h"
#include "solver/gradient_sum.h"
#include "solver/learning_rate.h"
#include "solver/passes.h"
#include "solver/snapshot.h"
#include "solver/solver_nets.h"
#include "solver/steering.h"
#include "solver/update_rule.h"
#include "solver/updater.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

/// The run's first seed: what a snapshot says, else what the solver says, else one drawn here.
std::uint64_t choose_seed(const SolverParameter& parameter, const SolverState& state) {
  if (state.has_random_seed()) return static_cast<std::uint64_t>(state.random_seed());
  if (parameter.random_seed() >= 0) return static_cast<std::uint64_t>(parameter.random_seed());
  const std::uint64_t seed = std::random_device()();
  LOG(INFO) << "random_seed: " << seed << " was chosen";
  return seed;
}

void check(const SolverParameter& p) {
  const std::string nan = nan_field(p);
  if (!nan.empty()) fail(nan, " is nan, and must be a number");
  if (!p.has_base_lr()) fail("base_lr is missing");
  check_learning_rate(p);
  if (p.max_iter() < 0) fail("max_iter: ", p.max_iter(), " cannot be negative");
  if (p.iter_size() < 1) fail("iter_size must be 1 or more");
  if (p.average_loss() < 1) fail("average_loss must be 1 or more");
  if (p.display() < 0 || p.test_interval() < 0 || p.snapshot() < 0)
    fail("display, test_interval and snapshot cannot be negative");
  if (p.regularization_type() != "L2" && p.regularization_type() != "L1")
    fail("regularization_type '", p.regularization_type(), "' is not known: L2 and L1 are");
  if (p.snapshot_format() == SolverParameter::HDF5)
    fail("snapshot_format: HDF5 is not kept up; BINARYPROTO is");
  if (p.kl_weight() < 0 || p.kl_warmup() < 0) fail("kl_weight and kl_warmup cannot be negative");
  if (p.compact_interval() < 0) fail("compact_interval: ", p.compact_interval(), " is negative");
  if (p.freeze_interval() < 0) fail("freeze_interval: ", p.freeze_interval(), " is negative");
  if (p.compact_interval() > 0 && p.freeze_interval() > 0)
    fail(
        "compact_interval and freeze_interval exclude each other: what is cut out needs no "
        "freezing");
  if (p.compact_patience() < 1) fail("compact_patience must be 1 or more");
  const bool has_one_net =
      (p.has_net() || p.has_net_param()) && p.test_net_size() + p.test_net_param_size() == 0;
  if (p.compact_interval() > 0 && !has_one_net)
    fail("compact_interval needs one net of all phases: net or net_param, and no test_net");
}

/// Each rank tests some of the batches.
void check_writers(const Net& test, const Communicator& ranks) {
  for (const auto& layer : test.layers())
    if (layer->type() == "HDF5Output" && ranks.size() > 1)
      fail("layer '", layer->name(), "' (HDF5Output): ", ranks.size(),
           " ranks cannot write one file; train this net with one");
}

std::vector<std::pair<std::string, double>> test_outputs(const Net& net,
                                                         const SolverParameter& parameter,
                                                         float loss) {
  auto outputs = net.outputs();
  if (parameter.test_compute_loss()) outputs.emplace_back("test_loss", loss);
  return outputs;
}

void sum_outputs(std::size_t count, Communicator* ranks, TestResult* result) {
  result->outputs.resize(count);
  std::vector<double> values;
  for (const auto& output : result->outputs) values.push_back(output.second);
  ranks->sum(values.data(), count);
  for (std::size_t o = 0; o < count; ++o) result->outputs[o].second = values[o];
}

}  // namespace

Solver::Solver(const SolverParameter& parameter, const std::string& path, const Device& device,
               const std::string& resume, Communicator* ranks)
    : parameter_(parameter), device_(device), ranks_(ranks) {
  parameter_.set_snapshot_prefix(snapshot_prefix(parameter, path));
  try {
    check(parameter_);
    rule_ = make_update_rule(parameter_);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
  SolverState state;
  if (!resume.empty()) read_binary(resume, &state);
  seed_ = choose_seed(parameter_, state);
  ranks_->broadcast(&seed_, sizeof(seed_));
  read_nets(path, state);
  make_nets();
  make_history();
  passes_ = make_passes(device_, parameter_.average_loss());
  for (const GateLayer* gate : net_->gates()) gates_.push_back({gate->name(), gate->whole_units()});
  if (check_interval() > 0) make_dead_units(path);
  if (Steering::is_asked(parameter_)) make_steering(path, resume.empty());
  if (!resume.empty()) {
    restore(state, resume);
    return;
  }
  for (const std::string& weights : parameter_.weights()) copy_weights(weights);
}

Solver::~Solver() = default;

/// A resumed run goes on with the net as it was cut.
void Solver::read_nets(const std::string& path, const SolverState& state) {
  nets_ = std::make_unique<SolverNets>(read_solver_nets(parameter_, path));
  is_compacted_ = state.has_compacted_net();
  if (!is_compacted_) return;
  nets_->train.net = state.compacted_net();
  for (SolverNet& test : nets_->tests) test.net = state.compacted_net();
}

void Solver::make_nets() {
  net_ = make_solver_net(nets_->train, seed_, device_, ranks_);
  test_nets_.clear();
  for (const SolverNet& test : nets_->tests) {
    test_nets_.push_back(make_solver_net(test, seed_, device_, &one_rank(), net_.get()));
    check_writers(*test_nets_.back(), *ranks_);
  }
  if (ranks_->size() > 1) gradient_sum_ = std::make_unique<GradientSum>(*net_, ranks_);
}

void Solver::make_history() {
  history_.clear();
  for (const Net::Parameter& parameter : net_->parameters()) {
    history_.emplace_back();
    for (int i = 0; i < rule_->history_count(); ++i)
      history_.back().push_back(std::make_unique<Blob>(parameter.blob->shape()));
  }
  make_updater();
}

void Solver::make_updater() {
  std::vector<UpdatedParameter> updated;
  for (std::size_t i = 0; i < history_.size(); ++i) {
    const Net::Parameter& parameter = net_->parameters()[i];
    updated.push_back({parameter.name,
                       parameter.blob,
                       {},
                       parameter.lr_mult,
                       parameter_.weight_decay() * parameter.decay_mult,
                       parameter.l1_decay});
    for (const auto& blob : history_[i]) updated.back().history.push_back(blob.get());
  }
  updater_ = vibnet::make_updater(device_, *rule_, std::move(updated),
                                  {parameter_.regularization_type() == "L1",
                                   parameter_.clip_gradients(), parameter_.iter_size()});
}

void Solver::make_steering(const std::string& path, bool begins) {
  const Net& source = test_nets_.empty() ? *net_ : *test_nets_[0];
  try {
    steering_ = std::make_unique<Steering>(parameter_, CompressedCost(test_model(*nets_), source),
                                           *net_, ranks_);
    if (begins) steering_->begin(*net_);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
}

const NetParameter& Solver::model() const { return nets_->train.net; }

double Solver::learning_rate() const { return vibnet::learning_rate(parameter_, iteration_); }

double Solver::kl_weight() const {
  const double whole = steering_ != nullptr ? steering_->kl_weight() : parameter_.kl_weight();
  if (parameter_.kl_warmup() == 0) return whole;
  const double share = static_cast<double>(iteration_ + 1) / parameter_.kl_warmup();
  return whole * std::min(1.0, share);
}

bool Solver::solve() {
  check_that_ranks_agree();
  if (parameter_.snapshot() > 0 || parameter_.snapshot_after_train()) check_snapshot_folder();
  if (iteration_ == 0 && parameter_.test_initialization()) test();
  const bool was_done = iteration_ > 0 && iteration_ >= parameter_.max_iter();
  LOG_IF(WARNING, was_done) << "Iteration " << iteration_ << " is not before the max_iter of "
                            << parameter_.max_iter() << ": nothing is left to train";
  step_until(parameter_.max_iter());
  if (is_stopped_) return false;
  net_->check();
  if (parameter_.snapshot_after_train() && !was_done &&
      (parameter_.snapshot() == 0 || iteration_ % parameter_.snapshot() != 0))
    snapshot();
  if (parameter_.test_interval() == 0 || iteration_ % parameter_.test_interval() != 0) test();
  return !is_stopped_;
}

void Solver::step(std::int64_t iterations) { step_until(iteration_ + iterations); }

void Solver::step_until(std::int64_t end) {
  while (iteration_ < end && !is_stopped_) {
    take_action();
    if (is_stopped_) return;
    step_once();
    if (parameter_.snapshot() > 0 && iteration_ % parameter_.snapshot() == 0) snapshot();
    if (parameter_.test_interval() > 0 && iteration_ % parameter_.test_interval() == 0) test();
  }
}

/// What any rank is asked to do.
SolverAction Solver::next_action() {
  const SolverAction own = action_source_ ? action_source_() : SolverAction::NONE;
  if (ranks_->size() == 1) return own;
  double asked[] = {own == SolverAction::SNAPSHOT ? 1.0 : 0.0,
                    own == SolverAction::STOP ? 1.0 : 0.0};
  ranks_->sum(asked, 2);
  if (asked[1] > 0) return SolverAction::STOP;
  return asked[0] > 0 ? SolverAction::SNAPSHOT : SolverAction::NONE;
}

void Solver::take_action() {
  const SolverAction action = next_action();
  if (action != SolverAction::NONE) snapshot();
  is_stopped_ = is_stopped_ || action == SolverAction::STOP;
}

void Solver::step_once() {
  if (steering_ != nullptr) steering_->steer(iteration_, net_.get());
  const bool shows = parameter_.display() > 0 && iteration_ % parameter_.display() == 0;
  const bool is_looked_at = shows || (steering_ != nullptr && steering_->looks(iteration_));
  forward_backward(is_looked_at);
  if (shows) net_->check();
  if (shows && observer_ != nullptr) observer_->on_step(describe(passes_->mean()));
  if (is_looked_at) update();
  ++iteration_;
  if (dead_units_ != nullptr && iteration_ % check_interval() == 0) check_dead_units();
}

void Solver::forward_backward(bool is_looked_at) {
  Context& context = net_->context();
  context.iteration = iteration_;
  context.passes = parameter_.iter_size();
  context.kl_weight = static_cast<float>(kl_weight());
  IterationWork work;
  work.clear_gradients = [this] { updater_->clear_gradients(); };
  work.gradient_sum = gradient_sum_.get();
  work.factors = update_factors();
  if (!is_looked_at) work.update = [this] { update(); };
  work.keeps_sides = steering_ != nullptr && steering_->is_settled();
  passes_->run(work, net_.get());
}

TrainingStep Solver::describe(double loss) const {
  TrainingStep step{iteration_, loss, 0, learning_rate(), kl_weight(), {}, {}};
  if (steering_ != nullptr) step.cost = steering_->cost();
  for (const GateLayer* gate : net_->gates()) step.kl += gate->penalty();
  for (const Gate& gate : gates_) step.kept.push_back(kept_units(gate));
  return step;
}

UpdateFactors Solver::update_factors() const {
  return rule_->factors(iteration_, learning_rate(), net_->context().kl_weight);
}

void Solver::update() {
  const auto step = [this] { updater_->update(update_factors()); };
  steering_ != nullptr ? steering_->update(step, net_.get()) : step();
}

double Solver::seconds_waited() const {
  double seconds = seconds_waited_;
  for (const auto& layer : net_->layers()) seconds += layer->seconds_waited();
  return seconds;
}

std::vector<TestResult> Solver::test() {
  std::vector<TestResult> results;
  for (std::size_t i = 0; i < test_nets_.size(); ++i) {
    results.push_back(test_net(static_cast<int>(i)));
    if (is_stopped_) return {};
    if (observer_ != nullptr) observer_->on_test(results.back());
  }
  return results;
}

/// Of several ranks each runs a part of the iterations.
TestResult Solver::test_net(int index) {
  Net& net = *test_nets_[index];
  const int iterations = parameter_.test_iter(index);
  const int part = parts(iterations, ranks_->size());
  const int begin = ranks_->rank() * part;
  TestResult result{iteration_, index, test_outputs(net, parameter_, 0)};
  const std::size_t count = result.outputs.size();
  for (auto& output : result.outputs) output.second = 0;
  for (int t = begin; t < begin + part; ++t) {
    take_action();
    if (is_stopped_) return result;
    if (t >= iterations) continue;
    net.context().iteration = t;
    const float loss = net.forward();
    const auto outputs = test_outputs(net, parameter_, loss);
    result.outputs.resize(outputs.size());
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      result.outputs[o].first = outputs[o].first;
      result.outputs[o].second += outputs[o].second / iterations;
    }
  }
  if (ranks_->size() > 1) sum_outputs(count, ranks_, &result);
  return result;
}

}  // namespace vibnet
