#include <gflags/gflags.h>
#include <glog/logging.h>

#include <filesystem>
#include <sstream>

#include "solver/ranks.h"
#include "solver/training_log.h"
#include "tool.h"
#include "training.h"
#include "vibnet/solver.h"

DEFINE_string(solver, "", "the solver's prototxt");
DEFINE_string(weights, "", "caffemodel to start from; several with commas");
DEFINE_string(resume, "", "solverstate to go on from");
DEFINE_string(device, "cpu", "cpu, gpu or gpu:N");
DEFINE_bool(tf32, false, "on a GPU, products in TF32: faster, with 10 bits behind the point");
DEFINE_bool(deterministic, false, "on a GPU, the same bits in each run");
DECLARE_string(log_dir);

namespace {

std::vector<std::string> assignments;

/// --log_dir, or the folder of the snapshots.
std::string log_folder(const vibnet::Solver& solver) {
  if (!FLAGS_log_dir.empty()) return FLAGS_log_dir;
  const auto folder = std::filesystem::path(solver.parameter().snapshot_prefix()).parent_path();
  return folder.empty() ? "." : folder.string();
}

void copy_weights(vibnet::Solver* solver) {
  std::istringstream names(FLAGS_weights);
  for (std::string name; std::getline(names, name, ',');) solver->copy_weights(name);
}

/// Returns false when ^C stopped it.
bool train(vibnet::Communicator* ranks, const vibnet::Device& device) {
  const vibnet::SolverParameter parameter = vibnet::read_solver(FLAGS_solver, assignments);
  vibnet::Solver solver(parameter, FLAGS_solver, device, FLAGS_resume, ranks);
  copy_weights(&solver);
  LOG_IF(WARNING, parameter.has_solver_mode() && FLAGS_device == "cpu" &&
                      parameter.solver_mode() == vibnet::SolverParameter::GPU)
      << FLAGS_solver << ": solver_mode: GPU is not looked at; --device gpu says so";
  vibnet::watch_signals();
  solver.set_action_source(vibnet::asked_action);
  if (!ranks->is_first()) return solver.solve();
  vibnet::TrainingLog log(solver, log_folder(solver), vibnet::images_of_iteration(solver),
                          !FLAGS_resume.empty());
  solver.set_observer(&log);
  const bool done = solver.solve();
  log.finish();
  return done;
}

int train(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("solver", FLAGS_solver);
  if (!FLAGS_weights.empty() && !FLAGS_resume.empty())
    throw vibnet::UsageError("--weights and --resume exclude each other");
  vibnet::Communicator* ranks = vibnet::join_ranks();
  vibnet::set_up_rank(*ranks);
  try {
    const vibnet::Device device = vibnet::device_flag(vibnet::device_of_rank(FLAGS_device, *ranks),
                                                      {FLAGS_tf32, FLAGS_deterministic});
    vibnet::Communicator* on_device = vibnet::join_gpus(ranks, device);
    const bool done = train(on_device, device);
    on_device->leave();
    return done ? 0 : vibnet::kStopped;
  } catch (const std::exception& error) {
    vibnet::let_first_speak(error, *ranks);
    throw;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-train", "trains a net as a solver says",
      "vibnet-train --solver S.prototxt [--weights W.caffemodel | --resume S.solverstate]\n"
      "         [--device cpu|gpu|gpu:N [--tf32] [--deterministic]] [--log_dir DIR]\n"
      "         [--set field=value]...",
      "vibnet-train --solver models/lenet5/solver.prototxt --set max_iter=1000"};
  assignments = vibnet::take_assignments(&argc, argv);
  return vibnet::run_tool(tool, argc, argv, train);
}
