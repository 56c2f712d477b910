#include "solver/training_log.h"

#include <glog/logging.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "core/json.h"
#include "layers/gate_layer.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr std::size_t kLinesOfRate = 10;

std::int64_t count_kept(const std::vector<bool>& kept) {
  return std::count(kept.begin(), kept.end(), true);
}

/// "1:02:03" or "2:03".
std::string clock_time(double seconds) {
  const long whole = std::lround(seconds);
  char text[32];
  if (whole >= 3600)
    std::snprintf(text, sizeof(text), "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof(text), "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

std::string percent(double share) {
  std::ostringstream text;
  text << std::setprecision(3) << 100 * share << " %";
  return text.str();
}

std::string latency(double ms) { return ms > 0 ? ", " + json_number(ms) + " ms" : ""; }

void add_point(std::int64_t iteration, double value, Curve* curve) {
  curve->iterations.push_back(static_cast<double>(iteration));
  curve->values.push_back(value);
}

}  // namespace

std::string count_kept(const std::vector<std::vector<bool>>& gates) {
  std::string text;
  for (const std::vector<bool>& kept : gates)
    text += (text.empty() ? "" : "-") + std::to_string(count_kept(kept));
  return text;
}

TrainingLog::TrainingLog(const Solver& solver, const std::string& folder, int images, bool resumes)
    : solver_(solver),
      folder_(folder),
      images_(images),
      is_terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      first_iteration_(solver.iteration()) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::string path = folder + "/log.jsonl";
  if (resumes && std::filesystem::exists(path)) take_up(path);
  file_.open(path, resumes ? std::ios::app : std::ios::trunc);
  if (!file_) fail(path, ": cannot be written");
}

/// Keeps the lines of before the resume, and their points for the curves.
void TrainingLog::take_up(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    google::protobuf::Struct entry;
    if (!google::protobuf::util::JsonStringToMessage(line, &entry).ok()) continue;  // cut off
    auto& fields = *entry.mutable_fields();
    const auto iteration = static_cast<std::int64_t>(fields["iteration"].number_value());
    const bool is_step = fields.count("loss") > 0;
    if (is_step ? iteration >= first_iteration_ : iteration > first_iteration_) continue;
    kept += line + "\n";
    if (is_step) {
      add_losses(iteration, fields["loss"].number_value(), fields["kl"].number_value());
      seconds_before_ = fields["seconds"].number_value();
    }
    for (const auto& [name, value] : fields["outputs"].struct_value().fields())
      add_test(iteration, static_cast<int>(fields["test_net"].number_value()), name,
               value.number_value());
  }
  write_file(path, kept);
}

double TrainingLog::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void TrainingLog::write_line(const std::string& json) {
  file_ << json << std::endl;
  if (file_) return;
  LOG_FIRST_N(WARNING, 1) << folder_ << "/log.jsonl: cannot be written any more";
}

/// The rate is that of the latest steps, since a net that shrinks changes it; of several lines, among
/// which a test or a snapshot weighs less.
void TrainingLog::show(const TrainingStep& step, double now) {
  shown_.push_back({step.iteration, now});
  const double done = static_cast<double>(step.iteration - shown_.front().iteration);
  const double taken = now - shown_.front().seconds;
  const double rate = taken > 0 ? done / taken : 0;
  if (shown_.size() > kLinesOfRate) shown_.pop_front();
  std::ostringstream line;
  line << "Iteration " << step.iteration << ", loss = " << step.loss;
  if (!step.kept.empty()) line << ", kl = " << step.kl << ", kept " << count_kept(step.kept);
  if (step.cost)
    line << ", kl_weight = " << step.kl_weight << ", weights " << percent(step.cost->weights)
         << ", FLOPs " << percent(step.cost->flops) << ", activations "
         << percent(step.cost->activation_memory) << latency(step.cost->latency_ms);
  line << ", lr = " << step.learning_rate;
  if (rate > 0) {
    line << std::fixed << std::setprecision(0);
    if (images_ > 0) line << ", " << rate * images_ << " images/s";
    line << ", "
         << clock_time(static_cast<double>(solver_.parameter().max_iter() - step.iteration) / rate)
         << " left";
  }
  if (is_terminal_)
    std::cerr << "\r\033[K" << line.str() << std::flush;
  else
    LOG(INFO) << line.str();
}

void TrainingLog::warn_of_lost_gates(const TrainingStep& step) const {
  for (std::size_t gate = 0; gate < step.kept.size(); ++gate) {
    const bool was_lost = gate < kept_.size() && count_kept(kept_[gate].kept.back()) == 0;
    LOG_IF(WARNING, count_kept(step.kept[gate]) == 0 && !was_lost)
        << "layer '" << solver_.gates()[gate].name << "' keeps none of its units any more: unless "
        << "another path leads past it, nothing comes through; give it a lower gamma or kl_weight";
  }
}

void TrainingLog::on_step(const TrainingStep& step) {
  const double now = seconds();
  show(step, now);
  warn_of_lost_gates(step);
  std::ostringstream json;
  json << "{\"iteration\": " << step.iteration << ", \"loss\": " << json_number(step.loss)
       << ", \"kl\": " << json_number(step.kl) << ", \"lr\": " << json_number(step.learning_rate)
       << ", \"kl_weight\": " << json_number(step.kl_weight) << ", \"kept\": [";
  for (std::size_t i = 0; i < step.kept.size(); ++i)
    json << (i == 0 ? "" : ", ") << count_kept(step.kept[i]);
  json << "]";
  if (step.cost)
    json << ", \"cost\": {\"weights\": " << json_number(step.cost->weights)
         << ", \"flops\": " << json_number(step.cost->flops)
         << ", \"activation_memory\": " << json_number(step.cost->activation_memory)
         << ", \"latency_ms\": " << json_number(step.cost->latency_ms) << "}";
  json << ", \"seconds\": " << json_number(seconds_before_ + now) << "}";
  write_line(json.str());

  add_losses(step.iteration, step.loss, step.kl);
  kept_.resize(step.kept.size());
  for (std::size_t i = 0; i < step.kept.size(); ++i) {
    kept_[i].iterations.push_back(static_cast<double>(step.iteration));
    kept_[i].kept.push_back(step.kept[i]);
  }
}

void TrainingLog::add_losses(std::int64_t iteration, double loss, double kl) {
  add_point(iteration, loss, &loss_);
  add_point(iteration, kl, &kl_);
}

void TrainingLog::add_test(std::int64_t iteration, int net, const std::string& output,
                           double value) {
  const bool is_accuracy = output.find("accuracy") != std::string::npos;
  const std::string of_net = net > 0 ? " of test net " + std::to_string(net) : "";
  const std::string shown =
      (is_accuracy ? "test error (1 - " + output + "), %" : "test " + output) + of_net;
  auto curve = std::find_if(tests_.begin(), tests_.end(),
                            [&](const Curve& known) { return known.name == shown; });
  if (curve == tests_.end()) curve = tests_.insert(tests_.end(), {shown, {}, {}});
  add_point(iteration, is_accuracy ? 100 * (1 - value) : value, &*curve);
}

void TrainingLog::on_test(const TestResult& result) {
  if (is_terminal_) std::cerr << "\r\033[K";
  std::ostringstream json;
  json << "{\"iteration\": " << result.iteration << ", \"test_net\": " << result.net
       << ", \"outputs\": {";
  for (std::size_t i = 0; i < result.outputs.size(); ++i) {
    const auto& [name, value] = result.outputs[i];
    LOG(INFO) << "Iteration " << result.iteration << ", Test net "
              << (result.net > 0 ? "(#" + std::to_string(result.net) + ") " : "") << "output #" << i
              << ": " << name << " = " << value;
    json << (i == 0 ? "" : ", ") << json_string(name) << ": " << json_number(value);
    add_test(result.iteration, result.net, name, value);
  }
  write_line(json.str() + "}}");
  draw();
}

void TrainingLog::on_snapshot(const std::string& solverstate) {
  write_line("{\"iteration\": " + std::to_string(solver_.iteration()) +
             ", \"snapshot\": " + json_string(solverstate) + "}");
}

/// A picture that cannot be written is no reason to end a training.
void TrainingLog::draw() const {
  try {
    draw_pictures();
  } catch (const Error& error) {
    LOG_FIRST_N(WARNING, 1) << error.what();
  }
}

void TrainingLog::draw_pictures() const {
  std::vector<Panel> panels;
  if (!loss_.values.empty()) panels.push_back({"objective: loss + KL", true, {loss_}});
  if (!kept_.empty()) panels.push_back({"KL, weighted", true, {kl_}});
  for (const Curve& test : tests_) panels.push_back({test.name, false, {test}});
  if (!panels.empty()) write_file(folder_ + "/curves.svg", draw_curves(panels));
  if (kept_.empty()) return;
  std::vector<KeptHistory> histories = kept_;
  for (std::size_t i = 0; i < histories.size(); ++i) histories[i].layer = solver_.gates()[i].name;
  write_file(folder_ + "/kept_units.svg", draw_kept_units(histories));
}

void TrainingLog::finish() {
  if (is_terminal_) std::cerr << "\n";
  draw();
  const double waited = solver_.seconds_waited();
  LOG(INFO) << std::fixed << std::setprecision(1) << seconds() << " s, of which training waited "
            << waited << " s (" << 100 * waited / seconds() << " %) for data";
}

}  // namespace vibnet
