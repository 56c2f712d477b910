#include "training.h"

#include <glog/logging.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "layers/dataset_layer.h"
#include "solver/ranks.h"
#include "solver/set_field.h"
#include "tool.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

volatile std::sig_atomic_t stop_asked = 0;
volatile std::sig_atomic_t snapshot_asked = 0;

}  // namespace

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

SolverParameter read_solver(const std::string& path, const std::vector<std::string>& assignments) {
  SolverParameter parameter;
  read_prototxt(path, &parameter);
  try {
    for (const std::string& assignment : assignments) set_field(assignment, &parameter);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  return parameter;
}

void watch_signals() {
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  std::signal(SIGHUP, [](int) { snapshot_asked = 1; });
}

SolverAction asked_action() {
  if (stop_asked != 0) return SolverAction::STOP;
  if (snapshot_asked == 0) return SolverAction::NONE;
  snapshot_asked = 0;
  return SolverAction::SNAPSHOT;
}

void set_up_rank(const Communicator& ranks) {
  if (!ranks.is_first()) FLAGS_minloglevel = google::GLOG_ERROR;
  if (ranks.size() == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) return;
  const int share = static_cast<int>(std::thread::hardware_concurrency()) / ranks.size_here();
  omp_set_num_threads(std::clamp(share, 1, omp_get_max_threads()));
}

std::string device_of_rank(const std::string& value, const Communicator& ranks) {
  const int gpus = value == "gpu" ? gpu_count() : 0;
  return gpus == 0 ? value : "gpu:" + std::to_string(ranks.rank_here() % gpus);
}

void let_first_speak(const std::exception& error, const Communicator& ranks) {
  const auto* ended = dynamic_cast<const RankHasEnded*>(&error);
  const bool says_it_of_first = ended != nullptr && ended->rank() == 0 && ranks.rank() == 1;
  if (says_it_of_first) return;
  for (int waits = std::min(80, 60 + 2 * ranks.rank()); !ranks.is_first() && waits > 0; --waits) {
    if (stop_asked != 0 || first_has_ended(ranks)) std::_Exit(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

int images_of_iteration(const Solver& solver) {
  for (const auto& layer : solver.net().layers())
    if (const auto* data = dynamic_cast<const DatasetLayer*>(layer.get()))
      return data->batch_size() * solver.parameter().iter_size();
  return 0;
}

NetOptions without_fillers() {
  NetOptions options;
  options.fills_parameters = false;
  return options;
}

std::vector<std::pair<std::string, double>> mean_outputs(int iterations, Net* net) {
  std::vector<std::pair<std::string, double>> means;
  for (int i = 0; i < iterations; ++i) {
    net->context().iteration = i;
    net->forward();
    const auto outputs = net->outputs();
    means.resize(outputs.size());
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      means[o].first = outputs[o].first;
      means[o].second += outputs[o].second / iterations;
    }
  }
  return means;
}

}  // namespace vibnet
