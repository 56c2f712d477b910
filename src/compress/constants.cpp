#include "compress/constants.h"

#include <algorithm>
#include <cmath>

#include "compress/weights_view.h"
#include "core/gate_rule.h"

namespace vibnet {
namespace {

using Role = ChannelRule::Role;

bool has_any(const Constants& constants) {
  return std::any_of(constants.begin(), constants.end(),
                     [](const auto& constant) { return constant.has_value(); });
}

/// Walks the layers from the net's inputs to its outputs.
class ConstantFinder {
 public:
  ConstantFinder(const Graph& graph, const Masks& masks, bool training)
      : graph_(graph), masks_(masks), training_(training) {
    for (const GraphBlob& blob : graph.blobs) constants_.emplace_back(blob.channels());
  }

  std::vector<Constants> find() {
    for (const GraphLayer& layer : graph_.layers)
      if (layer.kind == GraphLayer::Kind::INNER) find_at(layer);
    return std::move(constants_);
  }

 private:
  void find_at(const GraphLayer& layer) {
    if (!has_values(layer)) return;  // it starts from its fillers
    switch (layer.rule.role) {
      case Role::WALL:
      case Role::TOTAL:
        return;
      case Role::EACH:
      case Role::SUM:
        each(layer);
        break;
      case Role::MIX:
        mix(layer);
        break;
      case Role::MOVE:
        move(layer);
        break;
    }
    for (const int top : layer.tops) drop_unsure(layer, &constants_[top]);
    for (const int top : layer.tops)  // what is constant here may be none in another phase
      if (graph_.blobs[top].is_pinned) constants_[top].assign(constants_[top].size(), std::nullopt);
  }

  /// Takes out what is no constant in every phase, or not for the whole of a training.
  void drop_unsure(const GraphLayer& layer, Constants* top) const {
    for (std::size_t c = 0; c < top->size(); ++c) {
      auto& constant = (*top)[c];
      if (!constant) continue;
      const bool is_moved_by_training = training_ && (*constant != 0 || layer.rule.has_shift);
      const bool changes = is_bypassed(layer) && constants_[layer.bottoms[0]][c] != constant;
      if (!std::isfinite(*constant) || is_moved_by_training || changes) constant.reset();
    }
  }

  void each(const GraphLayer& layer) {
    Constants& top = constants_[layer.tops[0]];
    if (is_gate(layer.parameter.type())) return gate(layer, &top);
    switch (layer.rule.constants) {
      case ChannelRule::Constants::NONE:
        return;
      case ChannelRule::Constants::ZERO:
        for (std::size_t c = 0; c < top.size(); ++c)
          if (constants_[layer.bottoms[0]][c] == 0.0f) top[c] = 0;
        return;
      case ChannelRule::Constants::SAME:
        top = constants_[layer.bottoms[0]];
        return;
      case ChannelRule::Constants::ANY:
        evaluate(layer, &top);
    }
  }

  void gate(const GraphLayer& layer, Constants* top) const {
    const std::vector<bool>& kept = masks_.at(layer.parameter.name());
    const std::vector<GateUnit> units = gate_units(with_blobs(layer));
    for (std::size_t c = 0; c < top->size(); ++c) {
      const auto& bottom = constants_[layer.bottoms[0]][c];
      if (!kept[c])
        (*top)[c] = 0;
      else if (bottom)
        (*top)[c] = *bottom * units[c].factor;
    }
  }

  /// A Scale's factor of 0, which makes one value of all.
  bool erases(const GraphLayer& layer, std::size_t channel) const {
    const LayerParameter& parameter = layer.parameter;
    return !training_ && parameter.type() == "Scale" && layer.bottoms.size() == 1 &&
           layer.blobs[0].shape().dim_size() == 1 &&
           layer.blobs[0].data(static_cast<int>(channel)) == 0;
  }

  /// Whether the top's channel is constant, whatever its value.
  bool is_settled(const GraphLayer& layer, std::size_t channel) const {
    if (erases(layer, channel)) return true;
    bool all = true;
    for (int b = 0; b < layer.rule.coupled; ++b) {
      const auto& constant = constants_[layer.bottoms[b]][channel];
      if (layer.rule.is_product && constant == 0.0f) return true;
      all = all && constant.has_value();
    }
    return all;
  }

  /// Runs the layer itself on one sample of one place, varying channels being 0 there.
  void evaluate(const GraphLayer& layer, Constants* top) const {
    std::vector<bool> settled(top->size());
    for (std::size_t c = 0; c < settled.size(); ++c) settled[c] = is_settled(layer, c);
    if (std::none_of(settled.begin(), settled.end(), [](bool is) { return is; })) return;
    std::vector<Blob> bottoms(layer.bottoms.size());
    Blobs bottom;
    for (std::size_t b = 0; b < bottoms.size(); ++b) {
      const GraphBlob& blob = graph_.blobs[layer.bottoms[b]];
      Shape pixel(blob.shape.size(), 1);
      pixel[1] = blob.channels();
      bottoms[b].reshape(pixel);
      for (int c = 0; c < blob.channels(); ++c)
        bottoms[b].mutable_cpu_data()[c] = constants_[layer.bottoms[b]][c].value_or(0);
      bottom.push_back(&bottoms[b]);
    }
    Blob y;
    Layer& runner = *layer.layer;
    for (std::size_t b = 0; b < layer.blobs.size(); ++b)
      runner.blobs()[b]->from_proto(layer.blobs[b]);
    runner.reshape(bottom, {&y});
    runner.forward(bottom, {&y});
    for (std::size_t c = 0; c < settled.size(); ++c)
      if (settled[c]) (*top)[c] = y.cpu_data()[c];
  }

  void mix(const GraphLayer& layer) {
    const Constants& bottom = constants_[layer.bottoms[0]];
    Constants& top = constants_[layer.tops[0]];
    if (training_ && !has_any(bottom)) return;
    const WeightsView weights(layer, graph_);
    for (int o = 0; o < weights.outputs(); ++o) {
      double value = weights.bias(o);
      bool settled = true;
      for (int i = weights.first_input(o); settled && i < weights.end_input(o); ++i) {
        if (!is_usable(layer.rule, bottom[i]))
          settled = !training_ && weights.is_zero(o, i);
        else if (*bottom[i] != 0)
          value += double{*bottom[i]} * weights.sum(o, i);
      }
      if (settled) top[o] = static_cast<float>(value);
    }
  }

  static bool is_usable(const ChannelRule& rule, const std::optional<float>& constant) {
    return constant && (*constant == 0 || rule.constants == ChannelRule::Constants::SAME);
  }

  void move(const GraphLayer& layer) {
    for (std::size_t t = 0; t < layer.tops.size(); ++t)
      for (std::size_t c = 0; c < layer.rule.sources[t].size(); ++c) {
        const ChannelRule::Source& source = layer.rule.sources[t][c];
        constants_[layer.tops[t]][c] = constants_[layer.bottoms[source.bottom]][source.channel];
      }
  }

  const Graph& graph_;
  const Masks& masks_;
  const bool training_;
  std::vector<Constants> constants_;
};

}  // namespace

Masks masks_of(const Graph& graph, std::optional<float> threshold) {
  Masks masks;
  for (const GraphLayer& layer : graph.layers) {
    if (!is_gate(layer.parameter.type())) continue;
    std::vector<bool>& mask = masks[layer.parameter.name()];
    if (has_values(layer))
      mask = kept_units(gate_units(with_blobs(layer)),
                        threshold.value_or(gate_threshold(layer.parameter)));
    else
      mask.assign(graph.blobs[layer.tops[0]].channels(), true);
  }
  return masks;
}

std::vector<int> find_outputs(const Graph& graph) {
  std::vector<bool> is_output(graph.blobs.size(), false);
  std::vector<bool> is_learned(graph.blobs.size(), false);
  for (const GraphLayer& layer : graph.layers) {
    const bool is_head = layer.kind == GraphLayer::Kind::HEAD;
    const bool reads_scores = is_head && layer.is_in_test && layer.parameter.type() != "Silence";
    bool learns = !layer.blobs.empty();
    for (const int bottom : layer.bottoms) {
      learns = learns || is_learned[bottom];
      if (reads_scores && is_learned[bottom]) is_output[bottom] = true;  // others are labels
    }
    if (layer.kind != GraphLayer::Kind::INNER) continue;
    for (const int top : layer.tops) {
      if (learns) is_learned[top] = true;
      if (graph.is_output(top) && graph.blobs[top].is_in_test) is_output[top] = true;
    }
  }
  std::vector<int> outputs;
  for (std::size_t b = 0; b < graph.blobs.size(); ++b)
    if (is_output[b]) outputs.push_back(static_cast<int>(b));
  return outputs;
}

std::vector<int> find_cut_outputs(const Graph& graph, const std::vector<Constants>& constants) {
  std::vector<int> cut;
  for (const int output : find_outputs(graph)) {
    const GraphLayer* maker = graph.maker_of(output);
    const bool is_total = maker != nullptr && maker->rule.role == Role::TOTAL;
    const Constants& channels = constants[is_total ? maker->bottoms[0] : output];
    const bool is_constant = std::all_of(channels.begin(), channels.end(),
                                         [](const auto& constant) { return constant.has_value(); });
    if (is_constant && !channels.empty()) cut.push_back(output);
  }
  return cut;
}

std::vector<Constants> find_constants(const Graph& graph, const Masks& masks, bool training) {
  return ConstantFinder(graph, masks, training).find();
}

}  // namespace vibnet
