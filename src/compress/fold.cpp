#include "compress/fold.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "compress/weights_view.h"

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

/// What is done to each channel of a blob: x * factor + shift.
struct Affine {
  std::vector<float> factor, shift;

  explicit Affine(std::size_t channels) : factor(channels, 1), shift(channels, 0) {}
  bool shifts() const {
    return std::any_of(shift.begin(), shift.end(), [](float s) { return s != 0; });
  }
  bool is_identity() const {
    return !shifts() && std::all_of(factor.begin(), factor.end(), [](float f) { return f == 1; });
  }
};

/// A change of a layer's weights that stands for an Affine of its bottom, or of its top.
struct Edit {
  int layer;
  bool is_of_bottom;
  Affine affine;
};

/// Whether the layer's weights may stand for what another layer did: in every phase, and by itself.
bool can_take(const GraphLayer& layer) {
  return layer.twins < 0 && layer.is_in_test && layer.is_in_train;
}

/// True for a Scale of parameters with one value for each channel.
bool is_channel_scale(const GraphLayer& layer) {
  return layer.kind == Kind::INNER && layer.parameter.type() == "Scale" &&
         layer.rule.role == Role::EACH && layer.bottoms.size() == 1 && can_take(layer) &&
         layer.blobs[0].shape().dim_size() == 1;
}

Affine affine_of(const GraphLayer& scale) {
  Affine affine(scale.blobs[0].data_size());
  affine.factor.assign(scale.blobs[0].data().begin(), scale.blobs[0].data().end());
  if (scale.blobs.size() > 1)
    affine.shift.assign(scale.blobs[1].data().begin(), scale.blobs[1].data().end());
  return affine;
}

void set_scale(const Affine& affine, GraphLayer* scale) {
  scale->blobs = {blob_of(affine.factor)};
  scale->parameter.mutable_scale_param()->clear_bias_term();
  if (!affine.shifts()) return;
  scale->blobs.push_back(blob_of(affine.shift));
  scale->parameter.mutable_scale_param()->set_bias_term(true);
}

/// f(x * factor + shift) = f(x) * factor + shift.
bool commutes(const ChannelRule& rule, const Affine& affine) {
  const bool is_positive =
      std::all_of(affine.factor.begin(), affine.factor.end(), [](float f) { return f >= 0; });
  const bool scales = rule.homogeneous == ChannelRule::Homogeneous::ALWAYS ||
                      (rule.homogeneous == ChannelRule::Homogeneous::FOR_POSITIVE && is_positive);
  return scales && (!affine.shifts() || rule.constants == ChannelRule::Constants::SAME);
}

class Folder {
 public:
  explicit Folder(Graph* graph) : graph_(*graph) { connect(); }

  /// Takes the layer out if its neighbours can stand for it.
  bool fold(int l) {
    const GraphLayer& layer = graph_.layers[l];
    const int bottom = layer.bottoms[0];
    const int top = layer.tops[0];
    if (graph_.is_output(top) || graph_.blobs[top].is_pinned) return false;
    const Affine affine = affine_of(layer);
    std::vector<Edit> edits;
    if (!affine.is_identity() && !forward(top, affine, &edits)) {
      edits.clear();
      if (!backward(bottom, affine, &edits)) return false;
    }
    for (const Edit& edit : edits) apply(edit);
    remove(l);
    return true;
  }

 private:
  void connect() {
    readers_ = graph_.find_readers();
    producer_.assign(graph_.blobs.size(), -1);
    for (std::size_t l = 0; l < graph_.layers.size(); ++l)
      for (const int top : graph_.layers[l].tops) producer_[top] = static_cast<int>(l);
    graph_.find_uses();
  }

  bool forward(int blob, const Affine& affine, std::vector<Edit>* edits) const {
    if (graph_.is_output(blob) || graph_.blobs[blob].is_pinned) return false;
    const std::set<int> readers(readers_[blob].begin(),
                                readers_[blob].end());  // x, x reads it twice
    return std::all_of(readers.begin(), readers.end(),
                       [&](int reader) { return forward_into(reader, blob, affine, edits); });
  }

  bool forward_into(int l, int blob, const Affine& affine, std::vector<Edit>* edits) const {
    const GraphLayer& layer = graph_.layers[l];
    const bool takes_shift =
        !affine.shifts() || layer.rule.constants == ChannelRule::Constants::SAME;
    if (layer.kind != Kind::INNER || layer.twins >= 0 || layer.tops.size() != 1) return false;
    switch (layer.rule.role) {
      case Role::MIX:
        if (!takes_shift || !can_take(layer)) return false;
        edits->push_back({l, true, affine});
        return true;
      case Role::EACH:
        if (layer.bottoms.size() != 1) return false;
        if (is_channel_scale(layer)) {
          edits->push_back({l, true, affine});
          return true;
        }
        return commutes(layer.rule, affine) && forward(layer.tops[0], affine, edits);
      case Role::MOVE:
        return forward(layer.tops[0], moved(layer, blob, affine), edits);
      case Role::WALL:
      case Role::SUM:
      case Role::TOTAL:
        return false;
    }
    return false;
  }

  /// What becomes of one bottom's Affine in the top.
  static Affine moved(const GraphLayer& layer, int blob, const Affine& affine) {
    const auto& sources = layer.rule.sources[0];
    Affine top(sources.size());
    for (std::size_t c = 0; c < sources.size(); ++c) {
      if (layer.bottoms[sources[c].bottom] != blob) continue;
      top.factor[c] = affine.factor[sources[c].channel];
      top.shift[c] = affine.shift[sources[c].channel];
    }
    return top;
  }

  bool backward(int blob, const Affine& affine, std::vector<Edit>* edits) const {
    if (readers_[blob].size() != 1 || graph_.blobs[blob].is_pinned) return false;
    const int l = producer_[blob];
    const GraphLayer& layer = graph_.layers[l];
    if (layer.kind != Kind::INNER || layer.twins >= 0 || layer.tops.size() != 1) return false;
    switch (layer.rule.role) {
      case Role::MIX:
        if (!can_take(layer)) return false;
        edits->push_back({l, false, affine});
        return true;
      case Role::EACH:
        if (layer.bottoms.size() != 1) return false;
        if (is_channel_scale(layer)) {
          edits->push_back({l, false, affine});
          return true;
        }
        return commutes(layer.rule, affine) && backward(layer.bottoms[0], affine, edits);
      case Role::SUM:
        return !affine.shifts() &&
               std::all_of(layer.bottoms.begin(), layer.bottoms.end(),
                           [&](int bottom) { return backward(bottom, affine, edits); });
      case Role::MOVE:
        return backward_through_move(layer, affine, edits);
      case Role::WALL:
      case Role::TOTAL:
        return false;
    }
    return false;
  }

  bool backward_through_move(const GraphLayer& layer, const Affine& affine,
                             std::vector<Edit>* edits) const {
    std::vector<Affine> parts;
    std::vector<std::vector<bool>> known;
    for (const int bottom : layer.bottoms) {
      parts.emplace_back(graph_.blobs[bottom].channels());
      known.emplace_back(graph_.blobs[bottom].channels(), false);
    }
    const auto& sources = layer.rule.sources[0];
    for (std::size_t c = 0; c < sources.size(); ++c) {
      const auto [b, channel] = std::pair(sources[c].bottom, sources[c].channel);
      Affine& part = parts[b];
      // Behind a Flatten each place of a channel may have a factor of its own.
      if (known[b][channel] &&
          (part.factor[channel] != affine.factor[c] || part.shift[channel] != affine.shift[c]))
        return false;
      known[b][channel] = true;
      part.factor[channel] = affine.factor[c];
      part.shift[channel] = affine.shift[c];
    }
    for (std::size_t b = 0; b < parts.size(); ++b)
      if (!backward(layer.bottoms[b], parts[b], edits)) return false;
    return true;
  }

  void apply(const Edit& edit) {
    GraphLayer& layer = graph_.layers[edit.layer];
    if (layer.rule.role == Role::MIX)
      return edit.is_of_bottom ? scale_inputs(edit.affine, &layer)
                               : scale_outputs(edit.affine, &layer);
    Affine scale = affine_of(layer);
    for (std::size_t c = 0; c < scale.factor.size(); ++c) {
      const float factor = edit.affine.factor[c];
      const float shift = edit.affine.shift[c];
      scale.shift[c] = edit.is_of_bottom ? scale.factor[c] * shift + scale.shift[c]
                                         : scale.shift[c] * factor + shift;
      scale.factor[c] *= factor;
    }
    set_scale(scale, &layer);
  }

  void scale_inputs(const Affine& affine, GraphLayer* layer) {
    const int outputs = graph_.blobs[layer->tops[0]].channels();
    if (affine.shifts()) {
      const WeightsView weights(*layer, graph_);
      std::vector<float> bias;
      for (int o = 0; o < outputs; ++o) {
        double value = weights.bias(o);
        for (int i = weights.first_input(o); i < weights.end_input(o); ++i)
          if (affine.shift[i] != 0) value += double{affine.shift[i]} * weights.sum(o, i);
        bias.push_back(static_cast<float>(value));
      }
      set_bias(bias, layer);
    }
    scale_weights(std::vector<float>(outputs, 1), affine.factor, layer);
  }

  void scale_outputs(const Affine& affine, GraphLayer* layer) {
    const int inputs = graph_.blobs[layer->bottoms[0]].channels();
    scale_weights(affine.factor, std::vector<float>(inputs, 1), layer);
    if (layer->blobs.size() < 2 && !affine.shifts()) return;
    std::vector<float> bias = affine.shift;
    if (layer->blobs.size() > 1)
      for (std::size_t o = 0; o < bias.size(); ++o)
        bias[o] += layer->blobs[1].data(static_cast<int>(o)) * affine.factor[o];
    set_bias(bias, layer);
  }

  /// No layer works in place on what is a part of the objective.
  bool is_weighed(int blob) const {
    return has_loss_weight(graph_.layers[producer_[blob]].parameter);
  }

  /// A net that trains refuses some layers in place on its input, and on no other blob.
  bool is_in_input(int blob) const {
    return std::any_of(graph_.layers.begin(), graph_.layers.end(), [&](const GraphLayer& layer) {
      return layer.kind == Kind::SOURCE &&
             std::any_of(layer.tops.begin(), layer.tops.end(), [&](int top) {
               return graph_.blobs[top].name == graph_.blobs[blob].name;
             });
    });
  }

  /// Readers of the layer's top read its bottom instead.
  void remove(int l) {
    const int bottom = graph_.layers[l].bottoms[0];
    const int top = graph_.layers[l].tops[0];
    if (graph_.blobs[top].is_score && !graph_.blobs[bottom].is_score)
      std::swap(graph_.blobs[bottom].name, graph_.blobs[top].name);
    else if (readers_[bottom].size() == 1 && !is_in_input(bottom) && !is_weighed(bottom))
      keep_in_place(top, graph_.blobs[bottom].name);
    for (GraphLayer& layer : graph_.layers)
      std::replace(layer.bottoms.begin(), layer.bottoms.end(), top, bottom);
    graph_.layers.erase(graph_.layers.begin() + l);
    connect();
  }

  /// Layers that work in place on the blob go on so under its new name, unless the last is an
  /// output.
  void keep_in_place(int blob, const std::string& name) {
    const std::string old_name = graph_.blobs[blob].name;
    std::vector<int> versions;
    for (int at = blob; at >= 0;) {
      int next = -1;
      for (const int reader : readers_[at]) {
        const GraphLayer& layer = graph_.layers[reader];
        if (!layer.tops.empty() && layer.bottoms[0] == at &&
            graph_.blobs[layer.tops[0]].name == old_name)
          next = layer.tops[0];
      }
      if (next >= 0) versions.push_back(next);
      at = next;
    }
    if (versions.empty() || graph_.is_output(versions.back())) return;
    for (const int version : versions) graph_.blobs[version].name = name;
  }

  Graph& graph_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> producer_;
};

/// x / sqrt(variance + eps) - mean / sqrt(variance + eps), from the running sums.
void become_scale(GraphLayer* batch_norm) {
  const float count = batch_norm->blobs[2].data(0);
  const float per_sum = count == 0 ? 0 : 1 / count;
  Affine affine(batch_norm->blobs[0].data_size());
  for (int c = 0; c < batch_norm->blobs[0].data_size(); ++c) {
    const float variance = batch_norm->blobs[1].data(c) * per_sum;
    affine.factor[c] = 1 / std::sqrt(variance + batch_norm->parameter.batch_norm_param().eps());
    affine.shift[c] = -batch_norm->blobs[0].data(c) * per_sum * affine.factor[c];
  }
  batch_norm->parameter.set_type("Scale");
  batch_norm->parameter.clear_batch_norm_param();
  batch_norm->parameter.clear_param();
  set_scale(affine, batch_norm);
}

bool is_foldable_batch_norm(const GraphLayer& layer) {
  const BatchNormParameter& parameter = layer.parameter.batch_norm_param();
  const bool uses_running = !parameter.has_use_global_stats() || parameter.use_global_stats();
  return layer.parameter.type() == "BatchNorm" && layer.rule.role == Role::EACH &&
         can_take(layer) && uses_running;
}

}  // namespace

std::vector<std::string> fold_scales(const std::set<std::string>& names, Graph* graph) {
  Folder folder(graph);
  std::vector<std::string> stay;
  for (std::size_t l = 0; l < graph->layers.size();) {
    const GraphLayer& layer = graph->layers[l];
    const bool is_meant = is_channel_scale(layer) && names.count(layer.parameter.name()) > 0;
    if (is_meant && folder.fold(static_cast<int>(l))) continue;
    if (is_meant) stay.push_back(layer.parameter.name());
    ++l;
  }
  return stay;
}

void fold_batchnorm(Graph* graph) {
  for (GraphLayer& layer : graph->layers)
    if (is_foldable_batch_norm(layer)) become_scale(&layer);
  graph->infer();
  std::size_t before = 0;
  do {
    before = graph->layers.size();
    std::set<std::string> scales;
    for (const GraphLayer& layer : graph->layers)
      if (is_channel_scale(layer)) scales.insert(layer.parameter.name());
    fold_scales(scales, graph);
  } while (graph->layers.size() < before);
}

}  // namespace vibnet
