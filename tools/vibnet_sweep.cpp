#include <gflags/gflags.h>
#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <sstream>

#include "core/json.h"
#include "net/latency.h"
#include "solver/compressed_cost.h"
#include "solver/solver_nets.h"
#include "solver/steering.h"
#include "solver/training_log.h"
#include "sweep_report.h"
#include "tool.h"
#include "training.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

DEFINE_string(solver, "", "the solver's prototxt");
DEFINE_string(kl_weights, "", "the kl_weights to train with, such as 0.1,0.3,1");
DEFINE_string(target_flops, "", "in their place: the shares of FLOPs to come to, such as 0.5,0.25");
DEFINE_string(target_weights, "", "in their place: the shares of weights to come to");
DEFINE_string(out_dir, "", "folder for the nets, sweep.csv, sweep.json and sweep.svg");
DEFINE_string(finetune_solver, "",
              "solver that trains each compressed net on; its net is not read");
DEFINE_bool(dense, true, "train the dense net too, with kl_weight 0, to compare with");
DEFINE_string(device, "cpu", "cpu, gpu or gpu:N");

namespace {

using vibnet::NetParameter;
using vibnet::SolverParameter;
using vibnet::SweepPoint;

constexpr int kTimedRuns = 5;
constexpr int kIterationsOfNoTest = 50;

std::vector<std::string> assignments;

/// A flag with a list of values, and what each of them is for the solver and for its folder's name.
struct List {
  const char* flag;
  const char* name;
  const char* field;
  float most;
  const char* expected;
};

constexpr float kAnySize = std::numeric_limits<float>::max();
constexpr const char* kWeights = "numbers above 0, such as 0.1,0.3,1";
constexpr const char* kShares = "shares above 0 and at most 1, such as 0.5,0.25";
constexpr List kKlWeights{"kl_weights", "kl_weight", "kl_weight", kAnySize, kWeights};
constexpr List kTargetFlops{"target_flops", "target_flops", "target.flops", 1, kShares};
constexpr List kTargetWeights{"target_weights", "target_weights", "target.weights", 1, kShares};

/// What a net is made by: the solver, that of fine-tuning too, and the nets that the solver names.
struct Settings {
  std::string solver;
  std::string net;
};

/// A net to train: the folder's name, and what the solver is changed by.
struct Job {
  std::string name;
  std::string assignment;
  float value = 0;
  bool is_dense = false;
  Settings settings = {};
  /// Where the net is there already.
  std::optional<SweepPoint> point = {};
};

std::string trimmed(const std::string& word) {
  constexpr const char* kSpaces = " \t\r\n";
  const std::size_t begin = word.find_first_not_of(kSpaces);
  if (begin == std::string::npos) return "";
  return word.substr(begin, word.find_last_not_of(kSpaces) + 1 - begin);
}

/// As the solver holds it, which is what tells two values apart; NaN for no number.
float number_of(const std::string& word) {
  char* end = nullptr;
  const float value = std::strtof(word.c_str(), &end);
  return word.empty() || *end != '\0' ? NAN : value;
}

void add_jobs(const List& list, const std::string& given, std::vector<Job>* jobs) {
  const std::string flag = "--" + std::string(list.flag) + " " + given;
  std::istringstream words(given);
  for (std::string word; std::getline(words, word, ',');) {
    word = trimmed(word);
    const float value = number_of(word);
    if (!(value > 0 && value <= list.most))
      throw vibnet::UsageError(flag + " is no list of " + list.expected);
    for (const Job& other : *jobs)
      if (!other.is_dense && other.value == value)
        throw vibnet::UsageError(flag + " names " + word + " twice; give each value once");
    jobs->push_back(
        {list.name + ("_" + word), list.field + ("=" + vibnet::json_number(value)), value});
  }
}

std::vector<Job> read_jobs() {
  const int given =
      !FLAGS_kl_weights.empty() + !FLAGS_target_flops.empty() + !FLAGS_target_weights.empty();
  if (given != 1)
    throw vibnet::UsageError("give one of --kl_weights, --target_flops and --target_weights");
  std::vector<Job> jobs;
  if (FLAGS_dense) jobs.push_back({"dense", "kl_weight=0", 0, true});
  add_jobs(kKlWeights, FLAGS_kl_weights, &jobs);
  add_jobs(kTargetFlops, FLAGS_target_flops, &jobs);
  add_jobs(kTargetWeights, FLAGS_target_weights, &jobs);
  return jobs;
}

SolverParameter parameter_of(const Job& job) {
  std::vector<std::string> all = assignments;
  all.push_back(job.assignment);
  SolverParameter parameter = vibnet::read_solver(FLAGS_solver, all);
  if (job.is_dense) parameter.clear_target();
  return parameter;
}

std::optional<SolverParameter> finetune_parameter() {
  if (FLAGS_finetune_solver.empty()) return std::nullopt;
  SolverParameter parameter = vibnet::read_solver(FLAGS_finetune_solver, {});
  parameter.clear_target();
  return parameter;
}

/// The newest solverstate of a training that was stopped; empty where there is none.
std::string state_to_resume(const std::string& prefix) {
  const std::filesystem::path path(prefix + "_iter_");
  std::string newest;
  long newest_iteration = -1;
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(path.filename().string(), 0) != 0 || entry.path().extension() != ".solverstate")
      continue;
    const long iteration = std::atol(name.c_str() + path.filename().string().size());
    if (iteration <= newest_iteration) continue;
    newest_iteration = iteration;
    newest = entry.path().string();
  }
  return newest;
}

struct TrainedNet {
  NetParameter model;  // all phases
  NetParameter weights;
};

/// The trained net; none when ^C stopped the training. Goes on where one was stopped.
std::optional<TrainedNet> train(SolverParameter parameter, const std::string& path,
                                const std::string& weights, const std::string& prefix) {
  parameter.set_snapshot_prefix(prefix);
  const std::string state = state_to_resume(prefix);
  vibnet::Solver solver(parameter, path, vibnet::device_flag(FLAGS_device), state);
  if (state.empty() && !weights.empty()) solver.copy_weights(weights);
  vibnet::TrainingLog log(solver, prefix + "_log", vibnet::images_of_iteration(solver),
                          !state.empty());
  solver.set_observer(&log);
  solver.set_action_source(vibnet::asked_action);
  const bool done = solver.solve();
  log.finish();
  if (!done) return std::nullopt;
  return TrainedNet{solver.model(), solver.net().to_proto()};
}

/// Error in % from an accuracy, else the first output as it is.
void test(const NetParameter& model, const NetParameter& weights, int iterations,
          SweepPoint* point) {
  vibnet::NetOptions options = vibnet::without_fillers();
  options.keeps_blobs = false;
  vibnet::Net net(model, options);
  net.copy_weights(weights, "the compressed net", vibnet::Missing::FAIL);
  const auto outputs = vibnet::mean_outputs(iterations, &net);
  if (outputs.empty()) vibnet::fail(FLAGS_solver, ": the net has no output to test");
  const auto accuracy = std::find_if(outputs.begin(), outputs.end(), [](const auto& output) {
    return output.first.find("accuracy") != std::string::npos;
  });
  const bool found = accuracy != outputs.end();
  point->measure = found ? "error, %" : outputs[0].first;
  point->error = found ? 100 * (1 - accuracy->second) : outputs[0].second;
}

int test_iterations(const SolverParameter& parameter) {
  return parameter.test_iter_size() > 0 ? parameter.test_iter(0) : kIterationsOfNoTest;
}

/// The net without what its gates do not keep; with all that they have for `keeps_all`.
vibnet::CompressedNet compress(TrainedNet net, bool keeps_all) {
  const vibnet::Net source(net.model, vibnet::without_fillers());
  if (keeps_all) {
    vibnet::Kept all = vibnet::kept_units(net.weights);
    for (std::vector<bool>& units : all) units.assign(units.size(), true);
    vibnet::settle_gates(all, &net.weights);
  }
  return vibnet::CompressedCost(net.model, source).compressed(std::move(net.weights));
}

void write(const vibnet::CompressedNet& net, const std::string& folder) {
  vibnet::write_files(
      {{folder + "/small.caffemodel", vibnet::to_binary(net.weights, "small.caffemodel")},
       {folder + "/small.deploy.prototxt", vibnet::to_prototxt(net.deploy)},
       {folder + "/small.prototxt", vibnet::to_prototxt(net.model)}});
}

/// Trains the compressed net on. False when ^C stopped it.
bool finetune(SolverParameter parameter, const std::string& folder, NetParameter* weights) {
  parameter.clear_net_param();
  parameter.set_net(folder + "/small.prototxt");
  const auto trained =
      train(parameter, FLAGS_finetune_solver, folder + "/small.caffemodel", folder + "/finetuned");
  if (trained) *weights = trained->weights;
  return trained.has_value();
}

/// False when ^C stopped it. A net that loses a whole layer is a point too, a failed one.
bool make_point(const Job& job, const std::string& folder, SweepPoint* point) {
  const SolverParameter parameter = parameter_of(job);
  const auto trained = train(parameter, FLAGS_solver, "", folder + "/net");
  if (!trained) return false;
  vibnet::CompressedNet small;
  try {
    small = compress(*trained, job.is_dense);
  } catch (const vibnet::Error& error) {
    point->failure = error.what();
    return true;
  }
  write(small, folder);
  const auto finetuning = finetune_parameter();
  if (finetuning && !finetune(*finetuning, folder, &small.weights)) return false;
  const vibnet::NetCost cost = vibnet::cost_of_deployment(small.deploy);
  point->units = vibnet::count_kept(vibnet::kept_units(trained->weights));
  point->weights = cost.weights;
  point->flops = cost.flops;
  point->activation_bytes = cost.activation_bytes;
  test(small.model, small.weights, test_iterations(finetuning ? *finetuning : parameter), point);
  return true;
}

std::string folder_of(const Job& job) { return FLAGS_out_dir + "/" + job.name; }

Settings settings_of(const Job& job) {
  const SolverParameter parameter = parameter_of(job);
  Settings settings{vibnet::to_prototxt(parameter), ""};
  if (const auto finetuning = finetune_parameter())
    settings.solver += "# fine-tuned\n" + vibnet::to_prototxt(*finetuning);
  const vibnet::SolverNets nets = vibnet::read_solver_nets(parameter, FLAGS_solver);
  settings.net = vibnet::to_prototxt(nets.train.net);
  for (const vibnet::SolverNet& test : nets.tests)
    if (test.source != nets.train.source)
      settings.net += "# tested\n" + vibnet::to_prototxt(test.net);
  return settings;
}

std::string settings_file(const Job& job) { return folder_of(job) + "/settings.prototxt"; }
std::string net_file(const Job& job) { return folder_of(job) + "/net.prototxt"; }

/// A sweep by other settings or of another net must not be mixed with what is there.
void check_settings(const Job& job) {
  if (!std::filesystem::exists(settings_file(job))) return;
  constexpr const char* kRemedy = "; give another --out_dir, or remove it";
  if (vibnet::read_file(settings_file(job)) != job.settings.solver)
    vibnet::fail(folder_of(job), ": was made with other settings", kRemedy);
  if (!std::filesystem::exists(net_file(job)) ||
      vibnet::read_file(net_file(job)) != job.settings.net)
    vibnet::fail(folder_of(job), ": was not made with the net that ", FLAGS_solver, " names now",
                 kRemedy);
}

/// All that can stand against a job, and the point where it is made: a pure look.
void look_up(Job* job) {
  job->settings = settings_of(*job);
  if (std::filesystem::exists(folder_of(*job)) && !std::filesystem::is_directory(folder_of(*job)))
    vibnet::fail(folder_of(*job), ": is no folder; give another --out_dir, or remove it");
  check_settings(*job);
  const std::string path = folder_of(*job) + "/point.json";
  if (!std::filesystem::exists(path)) return;
  job->point = vibnet::point_from_json(vibnet::read_file(path), path);
  if (job->point->name != job->name)
    vibnet::fail(path, ": is the point of '", job->point->name, "', not of '", job->name,
                 "'; remove it, and it will be made anew");
}

/// What the solver makes of its nets, untrained. Throws where it cannot train them.
TrainedNet untrained(SolverParameter parameter, const std::string& path) {
  if (parameter.random_seed() < 0) parameter.set_random_seed(0);  // draws none that it would log
  vibnet::Solver solver(parameter, path, vibnet::device_flag(FLAGS_device));
  return {solver.model(), solver.net().to_proto()};
}

vibnet::CompressedNet compress_untrained(const std::vector<Job>& jobs, const TrainedNet& net) {
  const std::size_t gates = vibnet::gates_of(net.weights).size();
  if (gates == 0) vibnet::fail("the net has no gate to press, such as an InformationBottleneck");
  for (const Job& job : jobs)
    if (const SolverParameter parameter = parameter_of(job); parameter.has_target())
      vibnet::check_steering(parameter, gates);
  const vibnet::CompressedNet small = compress(net, true);
  if (vibnet::Net(small.model, vibnet::without_fillers()).outputs().empty())
    vibnet::fail("the net has no output to test");
  return small;
}

/// Does with an untrained net what will be done with trained ones, so that what stands against it
/// is said before hours of training. Whether a target can be reached is each point's own matter.
void rehearse(const std::vector<Job>& jobs) {
  SolverParameter parameter = parameter_of(jobs[0]);
  parameter.clear_target();
  const TrainedNet net = untrained(parameter, FLAGS_solver);
  vibnet::CompressedNet small;
  try {
    small = compress_untrained(jobs, net);
  } catch (const vibnet::Error& error) {
    vibnet::fail(FLAGS_solver, ": ", error.what());
  }
  auto finetuning = finetune_parameter();
  if (!finetuning) return;
  finetuning->clear_net();
  *finetuning->mutable_net_param() = small.model;
  untrained(*finetuning, FLAGS_finetune_solver);
}

void make_folder(const Job& job) {
  const Settings now = settings_of(job);
  if (now.solver != job.settings.solver || now.net != job.settings.net)
    vibnet::fail(FLAGS_solver, ": it or its net was changed while the sweep ran; put it back, or ",
                 "give another --out_dir");
  std::error_code error;
  std::filesystem::create_directories(folder_of(job), error);
  if (error) vibnet::fail(folder_of(job), ": cannot be made: ", error.message());
  if (std::filesystem::exists(settings_file(job))) return;
  vibnet::write_files({{net_file(job), now.net}, {settings_file(job), now.solver}});
}

/// False when ^C stopped it. What fails is told and does not keep the others from being made; it
/// leaves no point.json, for what stands against it may be mended.
bool make(Job* job) {
  make_folder(*job);
  LOG(INFO) << "Sweep: " << job->name;
  SweepPoint point;
  point.name = job->name;
  try {
    if (!make_point(*job, folder_of(*job), &point)) return false;
  } catch (const vibnet::Error& error) {
    job->point = vibnet::failed_point(job->name, error.what());
    return true;
  }
  vibnet::write_file(folder_of(*job) + "/point.json", vibnet::to_json(point) + "\n");
  job->point = point;
  return true;
}

/// All in one go, so that they compare.
void time_nets(std::vector<SweepPoint>* points) {
  for (SweepPoint& point : *points) {
    if (!point.failure.empty()) continue;
    const std::string path = FLAGS_out_dir + "/" + point.name + "/small.deploy.prototxt";
    vibnet::NetOptions options;
    options.keeps_blobs = false;
    vibnet::Net net = vibnet::make_net(vibnet::read_net_prototxt(path), path, options);
    point.forward_ms = vibnet::forward_ms(kTimedRuns, &net);
  }
}

/// The points of all jobs; none when ^C stopped it.
std::optional<std::vector<SweepPoint>> make_points(std::vector<Job> jobs) {
  std::vector<SweepPoint> points;
  for (Job& job : jobs) {
    if (!job.point && !make(&job)) return std::nullopt;
    points.push_back(*job.point);
    points.back().is_dense = job.is_dense;
    LOG_IF(WARNING, !job.point->failure.empty()) << job.name << ": " << job.point->failure;
  }
  return points;
}

void fail_for_failed(const std::vector<SweepPoint>& points) {
  int failed = 0;
  std::string reasons;
  for (const SweepPoint& point : points) {
    if (point.failure.empty()) continue;
    ++failed;
    reasons += (failed > 1 ? ", " : ": ") + point.name + " (" + point.failure + ")";
  }
  if (failed > 0)
    vibnet::fail(FLAGS_out_dir, ": ", failed, " of ", points.size(),
                 " nets failed, without a dot in sweep.svg", reasons);
}

int sweep(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("solver", FLAGS_solver);
  vibnet::require_flag("out_dir", FLAGS_out_dir);
  vibnet::watch_signals();
  std::vector<Job> jobs = read_jobs();
  for (Job& job : jobs) look_up(&job);
  const auto is_made = [](const Job& job) { return job.point.has_value(); };
  if (!std::all_of(jobs.begin(), jobs.end(), is_made)) rehearse(jobs);
  auto points = make_points(std::move(jobs));
  if (!points) return vibnet::kStopped;
  time_nets(&*points);
  vibnet::report_sweep(FLAGS_out_dir, *points);
  fail_for_failed(*points);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-sweep", "trains, compresses and tests a net at several pressures: what size costs",
      "vibnet-sweep --solver S.prototxt --out_dir DIR\n"
      "         --kl_weights W,... | --target_flops S,... | --target_weights S,...\n"
      "         [--finetune_solver F.prototxt] [--nodense] [--device cpu|gpu|gpu:N]\n"
      "         [--set field=value]...",
      "vibnet-sweep --solver models/lenet5/solver.prototxt --kl_weights 0.1,0.3,1 \\\n"
      "    --set max_iter=4000 --out_dir sweep"};
  assignments = vibnet::take_assignments(&argc, argv);
  return vibnet::run_tool(tool, argc, argv, sweep);
}
