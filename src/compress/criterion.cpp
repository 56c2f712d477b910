#include "compress/criterion.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "compress/graph.h"
#include "compress/weights_view.h"
#include "core/gate_rule.h"
#include "net/layer_set_up.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

/// A layer that makes channels, the layers behind it that work value by value, and what they make.
struct Run {
  std::vector<int> layers;
  int end_blob = 0;
};

class GateAdder {
 public:
  GateAdder(Graph graph, Criterion criterion) : graph_(std::move(graph)), criterion_(criterion) {
    for (const GraphLayer& layer : graph_.layers)
      if (is_gate(layer.parameter.type()))
        fail(title(layer.parameter), " says already what can be cut, and a criterion is for a net ",
             "without gates");
    readers_ = graph_.find_readers();
  }

  NetWithWeights run() {
    const std::vector<bool> ends = find_ends();
    for (std::size_t i = 0; i < graph_.layers.size(); ++i) {
      if (!makes_channels(graph_.layers[i])) continue;
      const Run run = run_from(static_cast<int>(i));
      if (ends[run.end_blob]) continue;
      const std::vector<float> scores = scores_of(run);
      if (!scores.empty()) add_gate(run, scores);
    }
    if (gates_.empty())
      fail("the net has no layer that can be cut by ",
           criterion_ == Criterion::L1 ? "its filters' magnitude" : "the Scale behind a BatchNorm");
    insert_gates();
    return graph_.release();
  }

 private:
  bool makes_channels(const GraphLayer& layer) const {
    return layer.kind == Kind::INNER && layer.is_in_test && layer.rule.role == Role::MIX &&
           layer.tops.size() == 1 && !is_depthwise(layer);
  }

  /// Its channels are those of the layer before it.
  bool is_depthwise(const GraphLayer& layer) const {
    return layer.rule.groups > 1 && layer.rule.groups == graph_.blobs[layer.bottoms[0]].channels();
  }

  static bool works_by_value(const GraphLayer& layer) {
    return layer.kind == Kind::INNER && layer.rule.role == Role::EACH &&
           layer.rule.constants == ChannelRule::Constants::ANY && layer.bottoms.size() == 1 &&
           layer.tops.size() == 1;
  }

  Run run_from(int layer) const {
    Run run{{layer}, graph_.layers[layer].tops[0]};
    while (readers_[run.end_blob].size() == 1 && !graph_.is_output(run.end_blob)) {
      const int next = readers_[run.end_blob][0];
      if (!works_by_value(graph_.layers[next])) break;
      run.layers.push_back(next);
      run.end_blob = graph_.layers[next].tops[0];
    }
    return run;
  }

  /// By blob, whether its channels come to an output or a loss without going through other weights.
  std::vector<bool> find_ends() const {
    std::vector<bool> ends;
    for (const GraphBlob& blob : graph_.blobs) ends.push_back(blob.is_output);
    for (std::size_t i = graph_.layers.size(); i-- > 0;) {
      const GraphLayer& layer = graph_.layers[i];
      const bool leads_on = layer.kind != Kind::HEAD && layer.rule.role == Role::MIX;
      const bool ends_here =
          layer.kind == Kind::HEAD ||
          std::any_of(layer.tops.begin(), layer.tops.end(), [&](int top) { return ends[top]; });
      if (ends_here && !leads_on)
        for (const int bottom : layer.bottoms) ends[bottom] = true;
    }
    return ends;
  }

  std::vector<float> scores_of(const Run& run) const {
    return criterion_ == Criterion::L1 ? magnitude_scores(graph_.layers[run.layers[0]])
                                       : scale_scores(run);
  }

  static std::vector<double> magnitudes(const WeightsView& weights) {
    std::vector<double> sums(weights.outputs());
    for (int o = 0; o < weights.outputs(); ++o)
      for (int i = weights.first_input(o); i < weights.end_input(o); ++i)
        sums[o] += weights.magnitude(o, i);
    return sums;
  }

  /// The share of the group's filters that are larger; of equal ones the first counts as the
  /// largest. So groups stay of one size.
  std::vector<float> magnitude_scores(const GraphLayer& layer) const {
    const WeightsView weights(layer, graph_);
    const std::vector<double> sums = magnitudes(weights);
    std::vector<int> order(sums.size());
    std::iota(order.begin(), order.end(), 0);
    std::vector<float> scores(sums.size());
    const int size = weights.group_outputs();
    for (auto group = order.begin(); group != order.end(); group += size) {
      std::stable_sort(group, group + size, [&](int a, int b) { return sums[a] > sums[b]; });
      for (int rank = 0; rank < size; ++rank)
        scores[group[rank]] = static_cast<float>(rank) / static_cast<float>(size);
    }
    return scores;
  }

  /// Empty without a BatchNorm and a Scale behind it.
  std::vector<float> scale_scores(const Run& run) const {
    bool is_normalized = false;
    for (const int index : run.layers) {
      const GraphLayer& layer = graph_.layers[index];
      if (is_normalized && layer.parameter.type() == "Scale") return negated_sizes(layer.blobs[0]);
      is_normalized = layer.parameter.type() == "BatchNorm";
    }
    return {};
  }

  static std::vector<float> negated_sizes(const BlobProto& scale) {
    std::vector<float> scores;
    for (const float value : scale.data()) scores.push_back(-std::fabs(value));
    return scores;
  }

  void add_gate(const Run& run, const std::vector<float>& scores) {
    GraphLayer gate;
    gate.parameter.set_type("InformationBottleneck");
    gate.parameter.set_name(free_name("gate_" + graph_.layers[run.layers[0]].parameter.name()));
    auto* parameter = gate.parameter.mutable_information_bottleneck_param();
    parameter->set_threshold(criterion_ == Criterion::L1 ? 1 : 0);
    gate.blobs = {blob_of(std::vector<float>(scores.size(), 1)), blob_of(scores)};
    gate.bottoms = {run.end_blob};
    gates_.emplace_back(run.layers.back(), std::move(gate));
  }

  std::string free_name(std::string name) {
    const auto is_taken = [&](const GraphLayer& layer) { return layer.parameter.name() == name; };
    while (std::any_of(graph_.layers.begin(), graph_.layers.end(), is_taken)) name += "_";
    return name;
  }

  /// From the back, so that what was noted of layers' places holds.
  void insert_gates() {
    std::stable_sort(gates_.begin(), gates_.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto& [behind, gate] : gates_) {
      const int from = gate.bottoms[0];
      const int to = graph_.add_blob(gate.parameter.name());
      for (const int reader : readers_[from])
        for (int& bottom : graph_.layers[reader].bottoms)
          if (bottom == from) bottom = to;
      gate.tops = {to};
    }
    for (auto& [behind, gate] : gates_)
      graph_.layers.insert(graph_.layers.begin() + behind + 1, std::move(gate));
    graph_.infer();
  }

  Graph graph_;
  Criterion criterion_;
  std::vector<std::vector<int>> readers_;          // by blob
  std::vector<std::pair<int, GraphLayer>> gates_;  // each with the layer that it follows
};

}  // namespace

Criterion criterion_of(const std::string& name) {
  if (name == "l1") return Criterion::L1;
  if (name == "batch_norm") return Criterion::BATCH_NORM;
  fail("criterion '", name, "' is not known: l1 and batch_norm are");
}

NetWithWeights add_gates(const NetParameter& model, NetParameter weights,
                         const std::map<std::string, std::vector<int>>& input_shapes,
                         Criterion criterion) {
  return GateAdder(Graph(model, std::move(weights), input_shapes), criterion).run();
}

}  // namespace vibnet
