#include <gflags/gflags.h>
#include <glog/logging.h>

#include <csignal>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "layers/dataset_layer.h"
#include "solver/set_field.h"
#include "solver/training_log.h"
#include "tool.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

DEFINE_string(solver, "", "the solver's prototxt");
DEFINE_string(weights, "", "caffemodel to start from; several with commas");
DEFINE_string(resume, "", "solverstate to go on from");
DEFINE_string(device, "cpu", "cpu, gpu or gpu:N");
DECLARE_string(log_dir);

namespace {

constexpr int kStopped = 130;

volatile std::sig_atomic_t stop_asked = 0;
volatile std::sig_atomic_t snapshot_asked = 0;

vibnet::SolverAction asked_action() {
  if (stop_asked != 0) return vibnet::SolverAction::STOP;
  if (snapshot_asked == 0) return vibnet::SolverAction::NONE;
  snapshot_asked = 0;
  return vibnet::SolverAction::SNAPSHOT;
}

void watch_signals() {
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  std::signal(SIGHUP, [](int) { snapshot_asked = 1; });
}

/// --set may stand several times, which gflags does not know: taken out before it looks.
std::vector<std::string> take_assignments(int* argc, char** argv) {
  std::vector<std::string> assignments;
  int kept = 1;
  for (int i = 1; i < *argc; ++i) {
    const std::string argument = argv[i];
    const bool is_set = argument == "--set" || argument == "-set";
    if (is_set && i + 1 < *argc)
      assignments.emplace_back(argv[++i]);
    else if (argument.rfind("--set=", 0) == 0)
      assignments.push_back(argument.substr(6));
    else
      argv[kept++] = argv[i];
  }
  *argc = kept;
  return assignments;
}

std::vector<std::string> assignments;

vibnet::SolverParameter read_solver() {
  vibnet::SolverParameter parameter;
  vibnet::read_prototxt(FLAGS_solver, &parameter);
  try {
    for (const std::string& assignment : assignments) vibnet::set_field(assignment, &parameter);
  } catch (const vibnet::Error& error) {
    throw vibnet::UsageError(error.what());
  }
  return parameter;
}

/// --log_dir, or the folder of the snapshots.
std::string log_folder(const vibnet::Solver& solver) {
  if (!FLAGS_log_dir.empty()) return FLAGS_log_dir;
  const auto folder = std::filesystem::path(solver.parameter().snapshot_prefix()).parent_path();
  return folder.empty() ? "." : folder.string();
}

/// Samples an iteration works on; 0 where no data layer says.
int images_of_iteration(const vibnet::Solver& solver) {
  for (const auto& layer : solver.net().layers())
    if (const auto* data = dynamic_cast<const vibnet::DatasetLayer*>(layer.get()))
      return data->batch_size() * solver.parameter().iter_size();
  return 0;
}

void copy_weights(vibnet::Solver* solver) {
  std::istringstream names(FLAGS_weights);
  for (std::string name; std::getline(names, name, ',');) solver->copy_weights(name);
}

int train(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("solver", FLAGS_solver);
  if (!FLAGS_weights.empty() && !FLAGS_resume.empty())
    throw vibnet::UsageError("--weights and --resume exclude each other");
  const vibnet::SolverParameter parameter = read_solver();
  vibnet::Solver solver(parameter, FLAGS_solver, vibnet::device_flag(FLAGS_device), FLAGS_resume);
  copy_weights(&solver);
  LOG_IF(WARNING, parameter.has_solver_mode() && FLAGS_device == "cpu" &&
                      parameter.solver_mode() == vibnet::SolverParameter::GPU)
      << FLAGS_solver << ": solver_mode: GPU is not looked at; --device gpu says so";
  watch_signals();
  vibnet::TrainingLog log(solver, log_folder(solver), images_of_iteration(solver),
                          !FLAGS_resume.empty());
  solver.set_observer(&log);
  solver.set_action_source(asked_action);
  const bool done = solver.solve();
  log.finish();
  return done ? 0 : kStopped;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-train", "trains a net as a solver says",
      "vibnet-train --solver S.prototxt [--weights W.caffemodel | --resume S.solverstate]\n"
      "         [--device cpu|gpu|gpu:N] [--log_dir DIR] [--set field=value]...",
      "vibnet-train --solver models/lenet5/solver.prototxt --set max_iter=1000"};
  assignments = take_assignments(&argc, argv);
  return vibnet::run_tool(tool, argc, argv, train);
}
