#include "solver/snapshot.h"

#include <glog/logging.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>

#include "core/stored_net.h"
#include "solver/compaction.h"
#include "solver/passes.h"
#include "solver/solver_nets.h"
#include "solver/steering.h"
#include "solver/update_rule.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

/// A number for the bits of blobs: another one, all but surely, where any is another.
class Digest {
 public:
  void add(const Blob& blob) {
    const float* values = blob.cpu_data();
    for (int i = 0; i < blob.count(); ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, &values[i], sizeof(bits));
      value_ = (value_ ^ bits) * 0x100000001b3u;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;  // FNV-1a, word by word
};

Shape history_shape(const BlobProto& stored, const std::string& path) {
  try {
    return shape_of(stored);
  } catch (const Error& error) {
    fail(path, ": in the history ", error.what());
  }
}

}  // namespace

std::string snapshot_prefix(const SolverParameter& parameter, const std::string& solver) {
  const auto name = std::filesystem::path(solver).replace_extension();
  const std::filesystem::path prefix = parameter.snapshot_prefix();
  if (prefix.empty()) return name.string();
  return std::filesystem::is_directory(prefix) ? (prefix / name.filename()).string()
                                               : prefix.string();
}

void Solver::check_snapshot_folder() const {
  if (!ranks_->is_first()) return;
  const auto parent = std::filesystem::path(parameter_.snapshot_prefix()).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (access((folder + "/").c_str(), W_OK) != 0)
    fail("snapshot_prefix '", parameter_.snapshot_prefix(), "': folder ", folder,
         " cannot be written: ", std::strerror(errno));
}

/// All ranks compute the same from the same bits; where one does not, say so rather than go on.
void Solver::check_that_ranks_agree() {
  if (ranks_->size() == 1) return;
  Digest digest;
  for (const Net::Parameter& parameter : net_->parameters()) digest.add(*parameter.blob);
  for (const auto& blobs : history_)
    for (const auto& blob : blobs) digest.add(*blob);
  std::uint64_t first = digest.value();
  ranks_->broadcast(&first, sizeof(first));
  double others = first == digest.value() ? 0 : 1;
  ranks_->sum(&others, 1);
  if (others > 0)
    fail(
        "iteration ", iteration_, ": ", others, " of ", ranks_->size(),
        " ranks have other weights than the first: do all run the same program on the same files?");
}

std::string Solver::snapshot() {
  const std::string base = parameter_.snapshot_prefix() + "_iter_" + std::to_string(iteration_);
  net_->check();  // each rank, as each has labels of its own
  check_that_ranks_agree();
  if (ranks_->is_first()) write_snapshot(base);
  double written = 1;
  ranks_->sum(&written, 1);  // none goes on before
  return base + ".solverstate";
}

void Solver::write_snapshot(const std::string& base) {
  check_snapshot_folder();
  SolverState state;
  state.set_iter(static_cast<int>(iteration_));
  state.set_learned_net(base + ".caffemodel");
  state.set_random_seed(static_cast<std::int64_t>(seed_));
  const std::vector<double>& losses = passes_->recent();
  state.mutable_recent_loss()->Add(losses.begin(), losses.end());
  if (steering_ != nullptr) *state.mutable_steering() = steering_->to_proto(*net_);
  // Caffe's order: the first history blob of every parameter, then the second of every one.
  for (int i = 0; i < rule_->history_count(); ++i)
    for (const auto& blobs : history_) blobs[i]->to_proto(state.add_history());
  if (dead_units_ != nullptr) dead_units_->to_state(&state);
  if (is_compacted_) *state.mutable_compacted_net() = nets_->train.net;
  const NetParameter weights = net_->to_proto(parameter_.snapshot_diff());
  std::vector<std::pair<std::string, std::string>> files = {
      {state.learned_net(), to_binary(weights, state.learned_net())},
      {base + ".solverstate", to_binary(state, base + ".solverstate")}};
  if (is_compacted_) files.emplace_back(base + ".prototxt", to_prototxt(nets_->train.net));
  write_files(files);
  LOG(INFO) << "Snapshot " << base << ".caffemodel and .solverstate"
            << (is_compacted_ ? ", and the cut net's .prototxt" : "");
  if (observer_ != nullptr) observer_->on_snapshot(base + ".solverstate");
}

void Solver::copy_weights(const std::string& caffemodel) {
  net_->copy_weights(caffemodel, Missing::KEEP);
}

void Solver::check_state(const SolverState& state, const std::string& path) const {
  if (!state.has_iter() || state.iter() < 0 || !state.has_learned_net())
    fail(path, ": is no solverstate");
  const std::size_t expected = history_.size() * rule_->history_count();
  if (static_cast<std::size_t>(state.history_size()) != expected)
    fail(path, ": is a snapshot of another net or solver: it holds ", state.history_size(),
         " history blob(s), and this one has ", expected);
  for (int i = 0; i < state.history_size(); ++i) {
    const std::size_t parameter = i % history_.size();
    const Blob& blob = *history_[parameter][i / history_.size()];
    const BlobProto& stored = state.history(i);
    const Shape shape = history_shape(stored, path);
    const int values = std::max(stored.data_size(), stored.double_data_size());
    if (!blob.fits(stored) || values != blob.count())
      fail(path, ": is a snapshot of another net: the history of ",
           net_->parameters()[parameter].name, " is ", to_string(shape), ", and ",
           to_string(blob.shape()), " is needed");
  }
}

void Solver::restore(const SolverState& state, const std::string& path) {
  check_state(state, path);
  std::string weights = state.learned_net();
  if (!std::filesystem::exists(weights))
    weights =
        (std::filesystem::path(path).parent_path() / std::filesystem::path(weights).filename())
            .string();
  net_->copy_weights(weights, Missing::FAIL);
  for (int i = 0; i < state.history_size(); ++i) {
    Blob& history = *history_[i % history_.size()][i / history_.size()];
    copy_values(state.history(i), history.count(), history.mutable_cpu_data());
  }
  passes_->set_recent({state.recent_loss().begin(), state.recent_loss().end()});
  iteration_ = state.iter();
  try {
    if (dead_units_ != nullptr) dead_units_->from_state(state, *net_);
    if (steering_ == nullptr && state.has_steering())
      vibnet::fail("was steered, and the solver has neither the target nor the kl_cost for it");
    if (steering_ != nullptr) steering_->restore(state.steering(), net_.get());
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
}

}  // namespace vibnet
