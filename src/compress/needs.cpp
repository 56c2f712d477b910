#include "compress/needs.h"

#include <algorithm>
#include <map>
#include <utility>

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

void raise(Need need, Need* to) { *to = std::max(*to, need); }

void raise_all(const ChannelNeeds& needs, ChannelNeeds* to) {
  for (std::size_t c = 0; c < needs.size(); ++c) raise(needs[c], &(*to)[c]);
}

bool any_needed(const ChannelNeeds& needs) {
  return std::any_of(needs.begin(), needs.end(), [](Need need) { return need != Need::NONE; });
}

int count_needed(const ChannelNeeds& needs, int begin, int end) {
  return (end - begin) -
         static_cast<int>(std::count(needs.begin() + begin, needs.begin() + end, Need::NONE));
}

/// Raises unneeded channels of [begin, end) until `wanted` are needed.
void fill_up(int wanted, int begin, int end, ChannelNeeds* needs) {
  int missing = wanted - count_needed(*needs, begin, end);
  for (int c = begin; c < end && missing > 0; ++c) {
    if ((*needs)[c] != Need::NONE) continue;
    (*needs)[c] = Need::ANY;
    --missing;
  }
}

class NeedFinder {
 public:
  NeedFinder(const Graph& graph, const std::vector<Constants>& constants)
      : graph_(graph), constants_(constants) {}

  Needs find() {
    // Each pass adds what twins need of each other, until nothing is new.
    for (bool is_new = true; is_new;) {
      walk();
      is_new = false;
      for (std::size_t l = 0; l < graph_.layers.size(); ++l)
        if (graph_.layers[l].twins >= 0 && needs_.living[l]) is_new |= share(static_cast<int>(l));
    }
    return std::move(needs_);
  }

 private:
  void walk() {
    needs_ = {};
    for (const GraphBlob& blob : graph_.blobs) {
      const bool is_whole = blob.is_pinned || blob.is_output;
      needs_.blobs.emplace_back(blob.channels(), is_whole ? Need::VALUE : Need::NONE);
    }
    needs_.living.assign(graph_.layers.size(), false);
    needs_.edges.resize(graph_.layers.size());
    opaque_.assign(graph_.blobs.size(), false);
    for (int l = static_cast<int>(graph_.layers.size()) - 1; l >= 0; --l) visit(l);
  }

  /// A blob without channels is needed as a whole or not at all.
  bool is_blob_needed(int blob) const {
    const GraphBlob& b = graph_.blobs[blob];
    if (b.channels() > 0) return any_needed(needs_.blobs[blob]);
    return b.is_output || b.is_pinned || opaque_[blob];
  }

  void visit(int l) {
    const GraphLayer& layer = graph_.layers[l];
    auto& edges = needs_.edges[l];
    edges.clear();
    for (const int bottom : layer.bottoms)
      edges.emplace_back(graph_.blobs[bottom].channels(), Need::NONE);
    if (layer.kind == Kind::INNER && layer.twins >= 0) add_twins_tops(layer);
    const bool is_silence = layer.parameter.type() == "Silence";
    needs_.living[l] = layer.kind != Kind::INNER || has_loss_weight(layer.parameter) ||
                       std::any_of(layer.tops.begin(), layer.tops.end(),
                                   [this](int top) { return is_blob_needed(top); });
    if (!needs_.living[l] || is_silence) return;
    if (layer.kind == Kind::HEAD || layer.rule.role == Role::WALL)
      need_bottoms_from(0, layer, &edges);
    else if (layer.kind == Kind::INNER)
      need_channels(l, &edges);
    if (layer.kind == Kind::INNER && layer.twins >= 0) add_twins_bottoms(layer, &edges);
    for (std::size_t b = 0; b < edges.size(); ++b)
      raise_all(edges[b], &needs_.blobs[layer.bottoms[b]]);
  }

  void need_bottoms_from(int first, const GraphLayer& layer, std::vector<ChannelNeeds>* edges) {
    for (std::size_t b = first; b < edges->size(); ++b) {
      std::fill((*edges)[b].begin(), (*edges)[b].end(), Need::VALUE);
      opaque_[layer.bottoms[b]] = true;
    }
  }

  void need_channels(int l, std::vector<ChannelNeeds>* edges) {
    const GraphLayer& layer = graph_.layers[l];
    switch (layer.rule.role) {
      case Role::WALL:
        return;
      case Role::EACH:
        each(layer, edges);
        return need_bottoms_from(layer.rule.coupled, layer, edges);
      case Role::SUM:
        return sum(layer, edges);
      case Role::MIX:
        return mix(l, &(*edges)[0]);
      case Role::MOVE:
        return move(layer, edges);
      case Role::TOTAL:
        return total(layer, &(*edges)[0]);
    }
  }

  void each(const GraphLayer& layer, std::vector<ChannelNeeds>* edges) const {
    const ChannelNeeds& top = needs_.blobs[layer.tops[0]];
    const Constants& top_constants = constants_[layer.tops[0]];
    for (std::size_t c = 0; c < top.size(); ++c)
      for (int b = 0; b < layer.rule.coupled; ++b) {
        // A constant made of a varying channel: a masked unit, a factor of 0.
        const auto& bottom = constants_[layer.bottoms[b]][c];
        const bool is_made_here = top_constants[c] && !bottom;
        (*edges)[b][c] = is_made_here ? std::min(top[c], Need::ANY) : top[c];
      }
  }

  void sum(const GraphLayer& layer, std::vector<ChannelNeeds>* edges) const {
    const ChannelNeeds& top = needs_.blobs[layer.tops[0]];
    for (std::size_t c = 0; c < top.size(); ++c) {
      bool has_part = false;
      for (std::size_t b = 0; b < edges->size(); ++b) {
        const bool adds = constants_[layer.bottoms[b]][c] != 0.0f;
        if (adds) (*edges)[b][c] = top[c];
        has_part = has_part || adds;
      }
      if (!has_part) (*edges)[0][c] = top[c];
    }
  }

  void mix(int l, ChannelNeeds* bottom) {
    const GraphLayer& layer = graph_.layers[l];
    ChannelNeeds& top = needs_.blobs[layer.tops[0]];
    const int groups = layer.rule.groups;
    const int inputs = static_cast<int>(bottom->size()) / groups;
    const int outputs = static_cast<int>(top.size()) / groups;
    int most_inputs = 1;
    int most_outputs = 1;
    for (int g = 0; g < groups; ++g) {
      bool has_live = false;
      for (int o = g * outputs; o < (g + 1) * outputs; ++o)
        has_live = has_live || is_live(graph_, constants_, needs_, l, o);
      for (int i = g * inputs; has_live && i < (g + 1) * inputs; ++i)
        if (!folds_into_bias(graph_, constants_, l, i)) (*bottom)[i] = Need::VALUE;
      most_inputs = std::max(most_inputs, count_needed(*bottom, g * inputs, (g + 1) * inputs));
      most_outputs = std::max(most_outputs, count_needed(top, g * outputs, (g + 1) * outputs));
    }
    // Groups that stay must stay equal.
    for (int g = 0; g < groups; ++g) {
      if (count_needed(top, g * outputs, (g + 1) * outputs) == 0) continue;
      fill_up(most_outputs, g * outputs, (g + 1) * outputs, &top);
      fill_up(most_inputs, g * inputs, (g + 1) * inputs, bottom);
    }
  }

  void move(const GraphLayer& layer, std::vector<ChannelNeeds>* edges) const {
    for (std::size_t t = 0; t < layer.tops.size(); ++t) {
      const ChannelNeeds& top = needs_.blobs[layer.tops[t]];
      for (std::size_t c = 0; c < top.size(); ++c) {
        const ChannelRule::Source& source = layer.rule.sources[t][c];
        raise(top[c], &(*edges)[source.bottom][source.channel]);
      }
    }
  }

  void total(const GraphLayer& layer, ChannelNeeds* bottom) const {
    const Constants& constants = constants_[layer.bottoms[0]];
    for (std::size_t c = 0; c < bottom->size(); ++c)
      if (constants[c] != 0.0f) (*bottom)[c] = Need::VALUE;
    if (!any_needed(*bottom)) bottom->front() = Need::VALUE;
  }

  /// What all layers of a set of twins need: of tops and bottoms.
  struct TwinNeeds {
    std::map<int, ChannelNeeds> tops, bottoms;
  };

  static bool add(const ChannelNeeds& needs, ChannelNeeds* all) {
    if (all->size() < needs.size()) all->resize(needs.size(), Need::NONE);
    const ChannelNeeds before = *all;
    for (std::size_t c = 0; c < needs.size(); ++c) raise(needs[c], &(*all)[c]);
    return before != *all;
  }

  bool share(int l) {
    const GraphLayer& layer = graph_.layers[l];
    if (layer.kind != Kind::INNER) return false;
    TwinNeeds& all = twins_[layer.twins];
    bool is_new = false;
    for (std::size_t t = 0; t < layer.tops.size(); ++t)
      is_new |= add(needs_.blobs[layer.tops[t]], &all.tops[static_cast<int>(t)]);
    for (std::size_t b = 0; b < layer.bottoms.size(); ++b)
      is_new |= add(needs_.edges[l][b], &all.bottoms[static_cast<int>(b)]);
    return is_new;
  }

  void add_twins_tops(const GraphLayer& layer) {
    for (std::size_t t = 0; t < layer.tops.size(); ++t) {
      const ChannelNeeds& all = twins_[layer.twins].tops[static_cast<int>(t)];
      if (all.size() == needs_.blobs[layer.tops[t]].size())
        raise_all(all, &needs_.blobs[layer.tops[t]]);
    }
  }

  void add_twins_bottoms(const GraphLayer& layer, std::vector<ChannelNeeds>* edges) {
    for (std::size_t b = 0; b < edges->size(); ++b) {
      const ChannelNeeds& all = twins_[layer.twins].bottoms[static_cast<int>(b)];
      if (all.size() == (*edges)[b].size()) raise_all(all, &(*edges)[b]);
    }
  }

  const Graph& graph_;
  const std::vector<Constants>& constants_;
  Needs needs_;
  std::vector<bool> opaque_;
  std::map<int, TwinNeeds> twins_;
};

}  // namespace

Needs find_needs(const Graph& graph, const std::vector<Constants>& constants) {
  return NeedFinder(graph, constants).find();
}

bool folds_into_bias(const Graph& graph, const std::vector<Constants>& constants, int layer,
                     int channel) {
  const GraphLayer& mixer = graph.layers[layer];
  const auto& constant = constants[mixer.bottoms[0]][channel];
  if (!constant) return false;
  if (*constant != 0 && mixer.rule.constants != ChannelRule::Constants::SAME) return false;
  if (mixer.twins < 0) return true;
  return std::all_of(graph.layers.begin(), graph.layers.end(), [&](const GraphLayer& other) {
    return other.twins != mixer.twins || constants[other.bottoms[0]][channel] == constant;
  });
}

bool is_live(const Graph& graph, const std::vector<Constants>& constants, const Needs& needs,
             int layer, int output) {
  const GraphLayer& mixer = graph.layers[layer];
  const int top = mixer.tops[0];
  // A twin's constants are its own, and the weights are not.
  const bool is_constant = mixer.twins < 0 && constants[top][output].has_value();
  return needs.blobs[top][output] == Need::VALUE && !is_constant;
}

}  // namespace vibnet
