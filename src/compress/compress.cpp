#include "vibnet/compress.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "compress/cut.h"
#include "compress/deployment.h"
#include "compress/fold.h"
#include "core/gate_rule.h"
#include "net/filter.h"
#include "net/layer_set_up.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

bool is_whole(const std::vector<bool>& mask) {
  return std::all_of(mask.begin(), mask.end(), [](bool kept) { return kept; });
}

/// What to do about a gate that keeps nothing.
[[noreturn]] void fail_all_cut(const GraphLayer& gate, std::optional<float> threshold) {
  float lowest = std::numeric_limits<float>::infinity();
  for (const GateUnit& unit : gate_units(with_blobs(gate))) lowest = std::min(lowest, unit.score);
  const std::string advice =
      std::isfinite(lowest)
          ? "; or give --threshold above " + std::to_string(std::ceil(lowest * 1e3) / 1e3)
          : "";
  fail("layer '", gate.parameter.name(), "' would lose every unit at threshold ",
       threshold.value_or(gate_threshold(gate.parameter)),
       ", and nothing of the input would reach the output; train with a lower gamma for it or a ",
       "lower kl_weight", advice);
}

/// Throws Error where masks have cut every path to an output.
void check_outputs(const Graph& graph, const Masks& masks, const std::vector<Constants>& constants,
                   std::optional<float> threshold) {
  if (std::all_of(masks.begin(), masks.end(), [](auto& mask) { return is_whole(mask.second); }))
    return;
  const int output = find_cut_output(graph, constants);
  if (output < 0) return;
  for (const GraphLayer& layer : graph.layers) {
    const auto mask = masks.find(layer.parameter.name());
    if (mask == masks.end()) continue;
    if (std::none_of(mask->second.begin(), mask->second.end(), [](bool kept) { return kept; }))
      fail_all_cut(layer, threshold);
  }
  fail("the bottlenecks together would cut every path to '", graph.blobs[output].name,
       "'; train with lower gammas or a lower kl_weight, or give a higher --threshold");
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
  if (layer.rule.role == Role::WALL) return "it needs all";
  return "";
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

/// The net without what the masks leave out; the uncut weights are gone then. `scales` gets the
/// names of the gates, which are Scale layers now.
Graph cut_masked(const NetParameter& model, NetParameter weights, const CompressOptions& options,
                 CompressReport* report, std::set<std::string>* scales) {
  const Graph graph(model, std::move(weights), options.input_shapes);
  const Masks masks = masks_of(graph, options.threshold);
  if (masks.empty() && !options.fold_batchnorm)
    fail("the net has no InformationBottleneck or HardConcrete layer: nothing says what can be ",
         "cut; see --criterion for nets without");
  const Plan plan = make_plan(graph, masks, false);
  check_outputs(graph, masks, plan.constants, options.threshold);
  report->layers = report_layers(graph, plan, masks);
  note_kept_constants(graph, plan, &report->notes);
  note_gone(graph, plan, &report->notes);
  return cut_net(graph, plan, masks, Gates::BECOME_SCALES, scales);
}

}  // namespace

CompressedNet compress(const NetParameter& model, NetParameter weights,
                       const CompressOptions& options) {
  CompressedNet result;
  std::set<std::string> scales;
  Graph cut = cut_masked(model, std::move(weights), options, &result.report, &scales);
  for (const std::string& name : fold_scales(scales, &cut))
    result.report.notes.push_back(
        "layer '" + name +
        "': its factors cannot be folded into the layers around it; it becomes a Scale");
  if (options.fold_batchnorm) fold_batchnorm(&cut);
  NetWithWeights net = cut.release();
  result.model = std::move(net.model);
  result.weights = std::move(net.weights);
  result.deploy = deploy_of_one(phase_of(result.model, TEST), options.input_shapes);
  result.report.kept_inputs = shorten_input(model, &result.deploy);
  return result;
}

NetParameter make_deploy(const NetParameter& model,
                         const std::map<std::string, std::vector<int>>& input_shapes) {
  return deploy_of_one(phase_of(model, TEST), input_shapes);
}

}  // namespace vibnet
