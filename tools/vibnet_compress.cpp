#include <gflags/gflags.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "compress/criterion.h"
#include "core/file.h"
#include "core/gate_rule.h"
#include "core/json.h"
#include "layers/dataset_layer.h"
#include "layers/gate_layer.h"
#include "net/cost.h"
#include "net/deploy.h"
#include "net/latency.h"
#include "solver/target.h"
#include "tool.h"
#include "training.h"
#include "vibnet/compress.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

DEFINE_string(model, "", "the trained net's prototxt");
DEFINE_string(weights, "", "the trained net's caffemodel");
DEFINE_string(out_model, "", "the smaller prototxt to write; NAME.deploy.prototxt comes beside it");
DEFINE_string(out_weights, "", "the smaller caffemodel to write");
DEFINE_string(threshold, "", "cut units at this threshold in place of the layers' own");
DEFINE_string(
    criterion, "gates",
    "what ranks the units: gates, the net's own; or for a net without any l1, the filters' "
    "magnitude within each layer (--threshold is the share that stays), or batch_norm, the "
    "scale behind a BatchNorm (--threshold is minus the least that goes)");
DEFINE_double(target_flops, 0, "cut units until this share of the net's FLOPs is left");
DEFINE_double(target_weights, 0, "the same for its weights");
DEFINE_double(target_activation_memory, 0, "the same for its peak activation memory");
DEFINE_double(target_latency_ms, 0, "the same for its forward pass at batch 1, in milliseconds");
DEFINE_string(report, "", "JSON file to write with what was cut and what it saves");
DEFINE_bool(
    verify, true,
    "run both nets on the same batches, of the net's data or else noise, and fail where they "
    "differ");
DEFINE_bool(fold_batchnorm, false,
            "put BatchNorm and Scale layers into the weights around them, for deployment");

namespace {

using vibnet::CompressReport;
using vibnet::NetCost;
using vibnet::NetParameter;

constexpr double kLargestDifference = 1e-4;
constexpr int kVerifiedBatches = 20;
constexpr std::chrono::seconds kVerifyTime(2);

struct Difference {
  double absolute = 0;
  double relative = 0;
};

struct Size {
  NetCost cost;
  std::uintmax_t caffemodel_bytes = 0;
};

bool is_given(const char* flag) { return !gflags::GetCommandLineFlagInfoOrDie(flag).is_default; }

vibnet::CompressOptions read_options() {
  vibnet::CompressOptions options;
  options.fold_batchnorm = FLAGS_fold_batchnorm;
  if (!is_given("threshold")) return options;
  char* end = nullptr;
  options.threshold = std::strtof(FLAGS_threshold.c_str(), &end);
  if (FLAGS_threshold.empty() || *end != '\0' || !std::isfinite(*options.threshold))
    throw vibnet::UsageError("--threshold '" + FLAGS_threshold + "' is no number");
  return options;
}

std::optional<vibnet::Target> read_target_flags() {
  vibnet::TargetParameter target;
  if (is_given("target_flops")) target.set_flops(static_cast<float>(FLAGS_target_flops));
  if (is_given("target_weights")) target.set_weights(static_cast<float>(FLAGS_target_weights));
  if (is_given("target_activation_memory"))
    target.set_activation_memory(static_cast<float>(FLAGS_target_activation_memory));
  if (is_given("target_latency_ms"))
    target.set_latency_ms(static_cast<float>(FLAGS_target_latency_ms));
  if (target.ByteSizeLong() == 0) return std::nullopt;
  if (!FLAGS_threshold.empty())
    throw vibnet::UsageError("--threshold and --target_... exclude each other");
  try {
    return vibnet::read_target(target);
  } catch (const vibnet::Error& error) {
    throw vibnet::UsageError(error.what());
  }
}

/// What a target made of the net's gates.
struct CutToTarget {
  NetParameter gates;
  vibnet::Target target;
  double reached = 0;
  bool is_met = false;
};

/// Cuts units of the net, or brings some back, along the ranking of their scores.
CutToTarget cut_to(const vibnet::Target& target, const NetParameter& model,
                   const vibnet::CompressOptions& options, const NetCost& dense, vibnet::Net* net) {
  vibnet::UnitPlanner planner(model, net->to_proto(), options);
  vibnet::check_target(target, dense, &planner);
  const vibnet::FoundUnits found = vibnet::find_units(target, dense, &planner);
  NetParameter gates = planner.gates();
  vibnet::settle_gates(found.kept, &gates);
  for (std::size_t gate = 0; gate < found.kept.size(); ++gate)
    net->gates()[gate]->settle(found.kept[gate]);
  std::cout << "target: " << vibnet::name_of(target.kind) << " is " << found.cost
            << " (asked for: " << target.value << "), which the layers' thresholds " << std::showpos
            << found.threshold << std::noshowpos << " come to\n";
  vibnet::tell_of_miss(target, found);
  return {gates, target, found.cost, vibnet::is_met(target, found)};
}

void replace_gates(const NetParameter& gates, NetParameter* weights) {
  for (const vibnet::LayerParameter& gate : gates.layer())
    for (vibnet::LayerParameter& layer : *weights->mutable_layer())
      if (layer.name() == gate.name()) *layer.mutable_blobs() = gate.blobs();
}

/// What losses and Accuracy read, and the outputs that are none of theirs.
std::vector<const vibnet::Blob*> score_blobs(const vibnet::Net& net) {
  std::vector<const vibnet::Blob*> scores;
  std::set<std::string> of_heads;
  for (std::size_t i = 0; i < net.layers().size(); ++i) {
    const vibnet::LayerParameter& layer = net.layers()[i]->parameter();
    if (!vibnet::is_head(layer) || layer.type() == "Silence") continue;
    of_heads.insert(layer.top().begin(), layer.top().end());
    for (const vibnet::Blob* bottom : net.bottoms(static_cast<int>(i))) scores.push_back(bottom);
  }
  for (const std::string& name : net.output_names())
    if (of_heads.count(name) == 0) scores.push_back(net.blob(name));
  return scores;
}

int batches_of(const vibnet::Net& net) {
  for (const auto& layer : net.layers())
    if (const auto* data = dynamic_cast<const vibnet::DatasetLayer*>(layer.get()))
      return static_cast<int>(
          std::clamp<std::int64_t>(data->size() / data->batch_size(), 1, kVerifiedBatches));
  return kVerifiedBatches;
}

using Scores = std::vector<std::vector<float>>;

/// The scores of a batch: of the net's own data, or where Input layers wait for values, of noise.
/// Labels stay 0.
Scores scores_of_batch(int batch, const std::vector<std::string>& inputs, vibnet::Net* net) {
  net->context().iteration = batch;
  for (const std::string& name : net->input_names())
    if (std::count(inputs.begin(), inputs.end(), name) > 0)
      vibnet::fill_input(vibnet::random_key(static_cast<std::uint64_t>(batch), name), name, net);
  net->forward();
  Scores scores;
  for (const vibnet::Blob* blob : score_blobs(*net))
    scores.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
  return scores;
}

/// The masked net's scores, as many batches as a few seconds allow.
std::vector<Scores> expected_scores(const std::vector<std::string>& inputs, vibnet::Net* masked) {
  if (!FLAGS_verify) return {};
  const auto start = std::chrono::steady_clock::now();
  std::vector<Scores> scores;
  const int batches = batches_of(*masked);
  while (static_cast<int>(scores.size()) < batches &&
         std::chrono::steady_clock::now() - start < kVerifyTime)
    scores.push_back(scores_of_batch(static_cast<int>(scores.size()), inputs, masked));
  for (const std::vector<float>& values : scores.empty() ? Scores() : scores[0])
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
      vibnet::fail(FLAGS_weights, ": the net's scores are not finite before anything is cut; ",
                   "a weight, or a variance, is no sound number");
  return scores;
}

/// Adds the largest difference of two scores, and relative to the largest value of the first.
void compare(const std::vector<float>& expected, const std::vector<float>& found,
             Difference* largest) {
  double magnitude = 1e-30;
  double difference = expected.size() == found.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i) {
    magnitude = std::max(magnitude, std::fabs(double{expected[i]}));
    const double apart = std::fabs(double{expected[i]} - found[i]);
    difference = std::isfinite(apart) ? std::max(difference, apart) : HUGE_VAL;
  }
  largest->absolute = std::max(largest->absolute, difference);
  largest->relative = std::max(largest->relative, difference / magnitude);
}

std::string list(const std::vector<int>& values) {
  std::ostringstream text;
  for (std::size_t i = 0; i < values.size(); ++i) text << (i == 0 ? "" : ", ") << values[i];
  return "[" + text.str() + "]";
}

std::string size_json(const Size& size) {
  std::ostringstream json;
  json << "{\"weights\": " << size.cost.weights << ", \"parameters\": " << size.cost.parameters
       << ", \"flops\": " << std::fixed << std::setprecision(0) << size.cost.flops
       << ", \"activation_bytes\": " << size.cost.activation_bytes
       << ", \"caffemodel_bytes\": " << size.caffemodel_bytes << "}";
  return json.str();
}

std::string report_json(const CompressReport& report, const Size& before, const Size& after,
                        const std::optional<CutToTarget>& by_target,
                        const std::optional<Difference>& difference) {
  std::ostringstream json;
  json << "{\n  \"layers\": [";
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const vibnet::LayerReport& layer = report.layers[i];
    json << (i == 0 ? "\n" : ",\n") << "    {\"name\": " << vibnet::json_string(layer.name)
         << ", \"type\": " << vibnet::json_string(layer.type)
         << ", \"units_before\": " << layer.units_before
         << ", \"units_after\": " << layer.units_after;
    if (!layer.kept.empty()) json << ", \"kept\": " << list(layer.kept);
    json << "}";
  }
  json << "\n  ],\n  \"kept_inputs\": " << list(report.kept_inputs) << ",\n  \"notes\": [";
  for (std::size_t i = 0; i < report.notes.size(); ++i)
    json << (i == 0 ? "" : ", ") << vibnet::json_string(report.notes[i]);
  json << "],\n  \"before\": " << size_json(before) << ",\n  \"after\": " << size_json(after);
  if (by_target)
    json << ",\n  \"target\": {\"name\": " << vibnet::json_string(name_of(by_target->target.kind))
         << ", \"asked\": " << vibnet::json_number(by_target->target.value)
         << ", \"reached\": " << vibnet::json_number(by_target->reached)
         << ", \"met\": " << (by_target->is_met ? "true" : "false") << "}";
  if (difference)
    json << ",\n  \"max_abs_difference\": " << vibnet::json_number(difference->absolute)
         << ",\n  \"max_rel_difference\": " << vibnet::json_number(difference->relative);
  json << "\n}\n";
  return json.str();
}

void print_row(const char* what, double before, double after) {
  std::cout << std::left << std::setw(22) << what << std::right << std::fixed
            << std::setprecision(0) << std::setw(14) << before << std::setw(14) << after
            << std::setprecision(1) << std::setw(11) << (after > 0 ? before / after : 0) << "x\n";
}

/// "784-300-100": the gates' units.
std::string units_of(const CompressReport& report, int vibnet::LayerReport::*units) {
  std::string text;
  for (const vibnet::LayerReport& layer : report.layers)
    if (vibnet::is_gate(layer.type))
      text += (text.empty() ? "" : "-") + std::to_string(layer.*units);
  return text;
}

void print(const CompressReport& report, const Size& before, const Size& after) {
  std::cout << std::left << std::setw(22) << "" << std::right << std::setw(14) << "before"
            << std::setw(14) << "after"
            << "\n";
  for (const vibnet::LayerReport& layer : report.layers)
    print_row(layer.name.c_str(), layer.units_before, layer.units_after);
  print_row("weights", static_cast<double>(before.cost.weights),
            static_cast<double>(after.cost.weights));
  print_row("parameters", static_cast<double>(before.cost.parameters),
            static_cast<double>(after.cost.parameters));
  print_row("FLOPs", before.cost.flops, after.cost.flops);
  print_row("activation bytes", static_cast<double>(before.cost.activation_bytes),
            static_cast<double>(after.cost.activation_bytes));
  print_row("caffemodel bytes", static_cast<double>(before.caffemodel_bytes),
            static_cast<double>(after.caffemodel_bytes));
  const std::string units = units_of(report, &vibnet::LayerReport::units_before);
  if (!units.empty())
    std::cout << "units of the gates: " << units << " -> "
              << units_of(report, &vibnet::LayerReport::units_after) << "\n";
  for (const std::string& text : report.notes) std::cout << "note: " << text << "\n";
}

std::string deploy_path(const std::string& model) {
  std::filesystem::path path(model);
  const std::string extension = path.extension() == ".prototxt" ? ".prototxt" : "";
  if (!extension.empty()) path.replace_extension();
  return path.string() + ".deploy.prototxt";
}

std::optional<Difference> verify(const std::vector<std::string>& inputs,
                                 const std::vector<Scores>& expected,
                                 const vibnet::CompressedNet& result) {
  if (!FLAGS_verify) return std::nullopt;
  vibnet::Net compressed(result.model, vibnet::without_fillers());
  compressed.copy_weights(result.weights, "the compressed weights", vibnet::Missing::FAIL);
  Difference difference;
  for (std::size_t batch = 0; batch < expected.size(); ++batch) {
    const Scores found = scores_of_batch(static_cast<int>(batch), inputs, &compressed);
    for (std::size_t s = 0; s < expected[batch].size(); ++s)
      compare(expected[batch][s], s < found.size() ? found[s] : std::vector<float>(), &difference);
  }
  if (!(difference.relative <= kLargestDifference))
    vibnet::fail("the compressed net differs from the masked one by ", difference.relative,
                 " of the largest score, more than ", kLargestDifference, "; nothing was written");
  return difference;
}

bool are_one_file(const std::string& a, const std::string& b) {
  return std::filesystem::weakly_canonical(vibnet::behind_links(a)) ==
         std::filesystem::weakly_canonical(vibnet::behind_links(b));
}

/// The new files, none over another or over what was read.
class Outputs {
 public:
  void add(const std::string& path, const std::string& bytes) {
    for (const std::string& input : {FLAGS_model, FLAGS_weights})
      if (are_one_file(input, path))
        throw vibnet::UsageError(path + " is read, and would be overwritten; give another name");
    for (const auto& file : files_)
      if (are_one_file(file.first, path))
        throw vibnet::UsageError(path + " would be written twice");
    files_.emplace_back(path, bytes);
  }
  void write() const { vibnet::write_files(files_); }

 private:
  std::vector<std::pair<std::string, std::string>> files_;
};

std::optional<vibnet::Criterion> read_criterion(std::optional<float> threshold) {
  if (FLAGS_criterion == "gates") return std::nullopt;
  vibnet::Criterion criterion;
  try {
    criterion = vibnet::criterion_of(FLAGS_criterion);
  } catch (const vibnet::Error& error) {
    throw vibnet::UsageError(std::string("--criterion: ") + error.what());
  }
  if (!threshold && !read_target_flags())
    throw vibnet::UsageError("--criterion " + FLAGS_criterion +
                             " needs a --threshold or a --target, to say how much shall go");
  const bool is_share = !threshold || (*threshold > 0 && *threshold <= 1);
  if (criterion == vibnet::Criterion::L1 && !is_share)
    throw vibnet::UsageError("--threshold " + FLAGS_threshold +
                             ": with --criterion l1 it is the share of each layer that stays, "
                             "above 0 and at most 1");
  return criterion;
}

/// The net with the gates of --criterion; none where its own are what counts.
std::optional<vibnet::NetWithWeights> gated_net(std::optional<float> threshold) {
  const std::optional<vibnet::Criterion> criterion = read_criterion(threshold);
  if (!criterion) return std::nullopt;
  const NetParameter model = vibnet::read_net_prototxt(FLAGS_model);
  NetParameter weights = vibnet::read_caffemodel(FLAGS_weights);
  std::map<std::string, std::vector<int>> shapes;
  {
    vibnet::Net net = vibnet::make_net(model, FLAGS_model, vibnet::without_fillers());
    net.copy_weights(weights, FLAGS_weights,
                     vibnet::Missing::FAIL);  // so that an error names the file
    shapes = vibnet::source_shapes(net);
  }
  return vibnet::add_gates(model, std::move(weights), shapes, *criterion);
}

/// The net whose bottlenecks have this threshold.
NetParameter masked_model(NetParameter model, const std::optional<float>& threshold) {
  for (vibnet::LayerParameter& layer : *model.mutable_layer())
    if (threshold && layer.type() == "InformationBottleneck")
      layer.mutable_information_bottleneck_param()->set_threshold(*threshold);
  return model;
}

/// What is not below the threshold makes nothing, in gates that have no threshold of their own too.
void mask_units(float threshold, vibnet::Net* net) {
  for (vibnet::GateLayer* gate : net->gates()) {
    std::vector<bool> dead;
    for (const float score : gate->scores()) dead.push_back(score >= threshold);
    gate->freeze(dead);
  }
}

/// What the net costs and computes before it is cut.
struct Uncut {
  NetCost cost;
  /// Of the deployment net.
  std::vector<std::string> inputs;
  std::vector<Scores> scores;
  std::optional<CutToTarget> by_target;
};

std::vector<std::string> inputs_of(const NetParameter& deploy) {
  std::vector<std::string> inputs;
  for (const vibnet::LayerParameter& layer : deploy.layer())
    if (layer.type() == "Input")
      inputs.insert(inputs.end(), layer.top().begin(), layer.top().end());
  return inputs;
}

/// Runs the net with all its units there and what its gates do not keep masked. Notes the shapes of
/// its inputs.
Uncut run_uncut(const NetParameter& model, const std::optional<vibnet::NetWithWeights>& gated,
                const std::optional<vibnet::Target>& target, vibnet::CompressOptions* options) {
  vibnet::Net masked = vibnet::make_net(model, FLAGS_model, vibnet::without_fillers());
  options->input_shapes = vibnet::source_shapes(masked);
  const NetParameter deploy = vibnet::make_deploy(model, options->input_shapes);
  Uncut uncut;
  uncut.cost = vibnet::cost_of_deployment(deploy);
  uncut.inputs = inputs_of(deploy);
  if (gated)
    masked.copy_weights(gated->weights, FLAGS_weights, vibnet::Missing::FAIL);
  else
    masked.copy_weights(FLAGS_weights, vibnet::Missing::FAIL);
  if (options->threshold) mask_units(*options->threshold, &masked);
  if (target) uncut.by_target = cut_to(*target, model, *options, uncut.cost, &masked);
  uncut.scores = expected_scores(uncut.inputs, &masked);
  return uncut;
}

void write(const vibnet::CompressedNet& result, const std::string& report) {
  Outputs outputs;
  outputs.add(FLAGS_out_weights, vibnet::to_binary(result.weights, FLAGS_out_weights));
  outputs.add(deploy_path(FLAGS_out_model), vibnet::to_prototxt(result.deploy));
  outputs.add(FLAGS_out_model, vibnet::to_prototxt(result.model));
  if (!FLAGS_report.empty()) outputs.add(FLAGS_report, report);
  outputs.write();
}

void print(const Difference& difference) {
  std::cout << "verified: the scores differ by at most " << std::scientific << std::setprecision(2)
            << difference.absolute << " (" << difference.relative << " of the largest)\n";
}

void compress_files(vibnet::CompressOptions options, const std::optional<vibnet::Target>& target) {
  std::optional<vibnet::NetWithWeights> gated = gated_net(options.threshold);
  options.gates_are_trained = !gated;
  const NetParameter model = masked_model(
      gated ? gated->model : vibnet::read_net_prototxt(FLAGS_model), options.threshold);
  // The net's memory goes before the weights are read again.
  const Uncut uncut = run_uncut(model, gated, target, &options);
  NetParameter weights = gated ? std::move(gated->weights) : vibnet::read_caffemodel(FLAGS_weights);
  if (uncut.by_target) replace_gates(uncut.by_target->gates, &weights);
  const vibnet::CompressedNet result = vibnet::compress(model, std::move(weights), options);
  const std::optional<Difference> difference = verify(uncut.inputs, uncut.scores, result);
  const Size before{uncut.cost, std::filesystem::file_size(FLAGS_weights)};
  const Size after{vibnet::cost_of_deployment(result.deploy), result.weights.ByteSizeLong()};
  write(result, report_json(result.report, before, after, uncut.by_target, difference));
  print(result.report, before, after);
  if (difference) print(*difference);
}

int compress(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("model", FLAGS_model);
  vibnet::require_flag("weights", FLAGS_weights);
  vibnet::require_flag("out_model", FLAGS_out_model);
  vibnet::require_flag("out_weights", FLAGS_out_weights);
  compress_files(read_options(), read_target_flags());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-compress", "cuts out of a trained net what its gates do not keep",
      "vibnet-compress --model M.prototxt --weights W.caffemodel\n"
      "         --out_model M2.prototxt --out_weights W2.caffemodel\n"
      "         [--criterion gates|l1|batch_norm]\n"
      "         [--threshold T | --target_flops S | --target_weights S |\n"
      "          --target_activation_memory S | --target_latency_ms T]\n"
      "         [--fold_batchnorm] [--report R.json] [--noverify]",
      "vibnet-compress --model train_val.prototxt --weights lenet.caffemodel \\\n"
      "    --out_model small.prototxt --out_weights small.caffemodel --report small.json"};
  return vibnet::run_tool(tool, argc, argv, compress);
}
