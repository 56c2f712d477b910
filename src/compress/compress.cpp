#include "vibnet/compress.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "compress/compressor.h"
#include "compress/deployment.h"
#include "compress/fold.h"
#include "core/gate_rule.h"
#include "net/deploy.h"
#include "net/filter.h"
#include "net/layer_set_up.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

/// What to do about a gate that keeps nothing.
[[noreturn]] void fail_all_cut(const GraphLayer& gate, const CompressOptions& options) {
  float lowest = std::numeric_limits<float>::infinity();
  for (const GateUnit& unit : gate_units(with_blobs(gate))) lowest = std::min(lowest, unit.score);
  std::string advice;
  if (options.gates_are_trained) advice = "; train with a lower gamma for it or a lower kl_weight";
  if (std::isfinite(lowest))
    advice += (advice.empty() ? "; give" : "; or give") + std::string(" --threshold above ") +
              std::to_string(std::ceil(lowest * 1e3) / 1e3);
  fail("layer '", gate.parameter.name(), "' would lose every unit at threshold ",
       options.threshold.value_or(gate_threshold(gate.parameter)),
       ", and nothing of the input would reach the output", advice);
}

/// Whether a gate keeps nothing, and no path leads around it to an output.
bool cuts_alone(const Graph& graph, Masks masks, const std::string& gate) {
  const auto own = masks.find(gate);
  if (own == masks.end() || !keeps_none(own->second)) return false;
  for (auto& [name, mask] : masks) mask.assign(mask.size(), name != gate);
  return !find_cut_outputs(graph, find_constants(graph, masks, false)).empty();
}

/// Throws Error where masks have cut every path to the outputs.
void check_outputs(const Graph& graph, const Masks& masks, const std::vector<Constants>& constants,
                   const CompressOptions& options) {
  if (std::all_of(masks.begin(), masks.end(), [](auto& mask) { return keeps_all(mask.second); }))
    return;
  const std::vector<int> cut = find_cut_outputs(graph, constants);
  if (cut.empty() || cut.size() < find_outputs(graph).size()) return;
  for (const GraphLayer& layer : graph.layers)
    if (cuts_alone(graph, masks, layer.parameter.name())) fail_all_cut(layer, options);
  fail("the ", options.gates_are_trained ? "bottlenecks" : "criterion's cuts",
       " together would cut every path to '", graph.blobs[cut[0]].name, "'; ",
       options.gates_are_trained ? "train with lower gammas or a lower kl_weight, or " : "",
       "give a higher --threshold");
}

std::vector<LayerReport> report_layers(const Graph& graph, const Plan& plan, const Masks& masks) {
  std::vector<LayerReport> reports;
  for (std::size_t l = 0; l < graph.layers.size(); ++l) {
    const GraphLayer& layer = graph.layers[l];
    const auto mask = masks.find(layer.parameter.name());
    const bool is_gate = mask != masks.end();
    if (layer.kind != Kind::INNER || (!is_gate && layer.rule.role != Role::MIX)) continue;
    LayerReport report{layer.parameter.name(),
                       layer.parameter.type(),
                       graph.blobs[layer.tops[0]].channels(),
                       0,
                       {}};
    if (plan.needs.living[l])
      report.units_after = static_cast<int>(plan.layout.blobs[layer.tops[0]].size());
    for (int c = 0; is_gate && plan.needs.living[l] && c < report.units_before; ++c)
      if (mask->second[c] && plan.needs.edges[l][0][c] == Need::VALUE) report.kept.push_back(c);
    reports.push_back(report);
  }
  return reports;
}

int count_constants(const Constants& constants) {
  return static_cast<int>(std::count_if(constants.begin(), constants.end(),
                                        [](const auto& constant) { return constant.has_value(); }));
}

/// Why constant channels of a bottom stay, or nothing.
std::string why_kept(const GraphLayer& layer) {
  if (layer.kind == Kind::HEAD) return "it is the net's output";
  if (layer.rule.role == Role::WALL && !layer.is_in_test)
    return "it needs all, and is there to train: cut a prototxt without it for deployment";
  if (layer.rule.role == Role::WALL) return "it needs all";
  return "";
}

/// Those that are constant for every input are named elsewhere.
void note_kept_outputs(const Graph& graph, const Plan& plan, std::vector<std::string>* notes) {
  for (const GraphLayer& layer : graph.layers) {
    if (layer.kind != Kind::INNER) continue;
    for (const int top : layer.tops) {
      const int dead = count_constants(plan.constants[top]);
      if (graph.is_output(top) && dead > 0 && dead < graph.blobs[top].channels())
        notes->push_back(title(layer.parameter) + " makes " + std::to_string(dead) +
                         " dead channel(s) of '" + graph.blobs[top].name +
                         "', and keeps them: it is an output" +
                         (graph.blobs[top].readers > 0 ? " of TEST" : ""));
    }
  }
}

void note_kept_constants(const Graph& graph, const Plan& plan, std::vector<std::string>* notes) {
  for (std::size_t l = 0; l < graph.layers.size(); ++l) {
    const GraphLayer& layer = graph.layers[l];
    if (!plan.needs.living[l] || layer.parameter.type() == "Silence") continue;
    for (std::size_t b = 0; b < layer.bottoms.size(); ++b) {
      const GraphBlob& blob = graph.blobs[layer.bottoms[b]];
      const int dead = count_constants(plan.constants[layer.bottoms[b]]);
      const std::string why = why_kept(layer);
      if (dead > 0 && !why.empty())
        notes->push_back(title(layer.parameter) + " keeps " + std::to_string(dead) +
                         " dead channel(s) of '" + blob.name + "': " + why);
      if (layer.kind != Kind::INNER || layer.rule.role != Role::MIX) continue;
      int padded = 0;
      for (int c = 0; c < blob.channels(); ++c)
        padded += plan.constants[layer.bottoms[b]][c].value_or(0) != 0 &&
                  layer.rule.constants != ChannelRule::Constants::SAME &&
                  plan.needs.edges[l][b][c] == Need::VALUE;
      if (padded > 0)
        notes->push_back(title(layer.parameter) + " keeps " + std::to_string(padded) +
                         " dead channel(s) of '" + blob.name +
                         "': they are constants other than 0, and its padding is not");
    }
  }
}

void note_gone(const Graph& graph, const Plan& plan, std::vector<std::string>* notes) {
  std::string gone;
  for (std::size_t l = 0; l < graph.layers.size(); ++l)
    if (!plan.needs.living[l] && graph.layers[l].rule.role == Role::MIX)
      gone += (gone.empty() ? "'" : ", '") + graph.layers[l].parameter.name() + "'";
  if (!gone.empty()) notes->push_back("gone, since nothing living reads them: " + gone);
}

void note_unstored(const Graph& graph, std::vector<std::string>* notes) {
  for (const GraphLayer& layer : graph.layers)
    if (!has_values(layer))
      notes->push_back(title(layer.parameter) +
                       " is not in TEST and has no weights in the file: it is cut to the shapes " +
                       "around it, and starts from its fillers");
}

void note_cut_outputs(const Graph& graph, const Plan& plan, std::vector<std::string>* notes) {
  for (const int output : find_cut_outputs(graph, plan.constants))
    notes->push_back("output '" + graph.blobs[output].name +
                     "' is the same for every input: nothing of the input reaches it");
}

CompressReport report_of(const Graph& graph, const Plan& plan, const Masks& masks) {
  CompressReport report;
  report.layers = report_layers(graph, plan, masks);
  note_cut_outputs(graph, plan, &report.notes);
  note_kept_outputs(graph, plan, &report.notes);
  note_kept_constants(graph, plan, &report.notes);
  note_gone(graph, plan, &report.notes);
  note_unstored(graph, &report.notes);
  return report;
}

std::string note_of_batch(const std::string& why_not_of_one) {
  return "the deployment net and its costs have the batch that the prototxt states, and not 1: " +
         why_not_of_one + "; a Reshape's `dim: 0` stands for the batch, whatever it is";
}

NetParameter deploy_of(const NetParameter& model,
                       const std::map<std::string, std::vector<int>>& input_shapes,
                       bool is_of_one) {
  const NetParameter net = phase_of(model, TEST);
  return is_of_one ? deploy_of_one(net, input_shapes) : deploy_net(net, input_shapes);
}

}  // namespace

Compressor::Compressor(const NetParameter& model, NetParameter weights,
                       const CompressOptions& options)
    : model_(model),
      options_(options),
      graph_(model, std::move(weights), options.input_shapes),
      why_not_of_one_(why_not_of_one(phase_of(model, TEST), options.input_shapes)) {}

void Compressor::set_gates(const NetParameter& gates) {
  for (const LayerParameter& gate : gates.layer())
    for (GraphLayer& layer : graph_.layers)
      for (int b = 0; layer.parameter.name() == gate.name() && b < gate.blobs_size(); ++b)
        *layer.blobs[b].mutable_data() = gate.blobs(b).data();
}

Masks Compressor::masks() const {
  Masks masks = masks_of(graph_, options_.threshold);
  if (masks.empty() && !options_.fold_batchnorm)
    fail("the net has no InformationBottleneck or HardConcrete layer: nothing says what can be ",
         "cut; see --criterion for nets without");
  return masks;
}

Plan Compressor::checked_plan(const Masks& masks) const {
  Plan plan = make_plan(graph_, masks, false);
  check_outputs(graph_, masks, plan.constants, options_);
  return plan;
}

std::vector<std::string> Compressor::fold(const std::set<std::string>& scales, Graph* cut) const {
  std::vector<std::string> stay = fold_scales(scales, cut);
  if (options_.fold_batchnorm) fold_batchnorm(cut);
  return stay;
}

NetParameter Compressor::deployed(const NetParameter& model, std::vector<int>* kept_inputs) const {
  NetParameter deploy = deploy_of(model, options_.input_shapes, why_not_of_one_.empty());
  *kept_inputs = shorten_input(model_, &deploy);
  return deploy;
}

NetParameter Compressor::plan() const {
  const Masks masks = this->masks();
  const Plan plan = checked_plan(masks);
  std::set<std::string> scales;
  Graph cut = cut_net(graph_, plan, masks, Gates::BECOME_SCALES, Values::LEFT_OUT, &scales);
  fold(scales, &cut);
  std::vector<int> kept_inputs;
  return deployed(cut.release().model, &kept_inputs);
}

CompressedNet Compressor::cut() {
  const Masks masks = this->masks();
  const Plan plan = checked_plan(masks);
  CompressedNet result;
  result.report = report_of(graph_, plan, masks);
  if (!why_not_of_one_.empty()) result.report.notes.push_back(note_of_batch(why_not_of_one_));
  std::set<std::string> scales;
  Graph cut = cut_net(graph_, plan, masks, Gates::BECOME_SCALES, Values::WRITTEN, &scales);
  graph_ = Graph();  // the uncut weights go before the others are folded
  for (const std::string& name : fold(scales, &cut))
    result.report.notes.push_back(
        "layer '" + name +
        "': its factors cannot be folded into the layers around it; it becomes a Scale");
  NetWithWeights net = cut.release();
  result.model = std::move(net.model);
  result.weights = std::move(net.weights);
  result.deploy = deployed(result.model, &result.report.kept_inputs);
  return result;
}

CompressedNet compress(const NetParameter& model, NetParameter weights,
                       const CompressOptions& options) {
  return Compressor(model, std::move(weights), options).cut();
}

NetParameter make_deploy(const NetParameter& model,
                         const std::map<std::string, std::vector<int>>& input_shapes) {
  const bool is_of_one = why_not_of_one(phase_of(model, TEST), input_shapes).empty();
  return deploy_of(model, input_shapes, is_of_one);
}

}  // namespace vibnet
