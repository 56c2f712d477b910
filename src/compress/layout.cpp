#include "compress/layout.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

/// Picking channels moves memory: it must save this share of what a layer reads.
constexpr int kWorthAnEighth = 8;

Channels needed(const ChannelNeeds& needs) {
  Channels channels;
  for (std::size_t c = 0; c < needs.size(); ++c)
    if (needs[c] != Need::NONE) channels.push_back(static_cast<int>(c));
  return channels;
}

/// Those of `held` that are needed, in its order.
Channels needed_of(const Channels& held, const ChannelNeeds& needs) {
  Channels channels;
  std::copy_if(held.begin(), held.end(), std::back_inserter(channels),
               [&](int c) { return needs[c] != Need::NONE; });
  return channels;
}

class LayoutFinder {
 public:
  LayoutFinder(const Graph& graph, const Needs& needs) : graph_(graph), needs_(needs) {
    layout_.blobs.resize(graph.blobs.size());
    layout_.reads.resize(graph.layers.size());
    find_savings();
  }

  Layout find() {
    for (std::size_t l = 0; l < graph_.layers.size(); ++l)
      if (needs_.living[l]) place(static_cast<int>(l));
    return std::move(layout_);
  }

 private:
  /// Marks the blobs of which fewer channels mean less arithmetic: those that lead to weights.
  void find_savings() {
    saves_.assign(graph_.blobs.size(), false);
    for (int l = static_cast<int>(graph_.layers.size()) - 1; l >= 0; --l) {
      const GraphLayer& layer = graph_.layers[l];
      if (layer.kind != Kind::INNER || !needs_.living[l]) continue;
      const Role role = layer.rule.role;
      const bool passes_on = role == Role::EACH || role == Role::MOVE;
      const bool leads_on = std::any_of(layer.tops.begin(), layer.tops.end(),
                                        [this](int top) { return saves_[top]; });
      for (const int bottom : layer.bottoms)
        if (role == Role::MIX || (passes_on && leads_on)) saves_[bottom] = true;
    }
  }

  void place(int l) {
    const GraphLayer& layer = graph_.layers[l];
    std::vector<Channels>& reads = layout_.reads[l];
    reads.resize(layer.bottoms.size());
    for (std::size_t b = 0; b < reads.size(); ++b)
      reads[b] = all_channels(graph_.blobs[layer.bottoms[b]].channels());
    if (layer.parameter.type() == "Silence")
      for (std::size_t b = 0; b < reads.size(); ++b) reads[b] = layout_.blobs[layer.bottoms[b]];
    if (layer.kind != Kind::INNER || layer.rule.role == Role::WALL) return place_whole(layer);
    switch (layer.rule.role) {
      case Role::WALL:
        return;
      case Role::EACH:
        return place_each(l);
      case Role::SUM:
        return place_sum(l);
      case Role::MIX:
        return place_mix(l);
      case Role::MOVE:
        return place_move(l);
      case Role::TOTAL:
        return place_total(l);
    }
  }

  const Channels& held(const GraphLayer& layer, std::size_t b) const {
    return layout_.blobs[layer.bottoms[b]];
  }

  void place_whole(const GraphLayer& layer) {
    for (const int top : layer.tops)
      layout_.blobs[top] = all_channels(graph_.blobs[top].channels());
  }

  /// What a layer reads that takes any channels in any order.
  Channels choose(int l, std::size_t b, bool saves) const {
    const GraphLayer& layer = graph_.layers[l];
    const ChannelNeeds& needs = needs_.edges[l][b];
    if (layer.twins >= 0) return needed(needs);  // the same for all
    const Channels& all = held(layer, b);
    if (is_bypassed(layer)) return all;
    Channels fewer = needed_of(all, needs);
    const std::size_t saved = all.size() - fewer.size();
    return saves && saved * kWorthAnEighth >= all.size() && saved > 0 ? fewer : all;
  }

  void place_each(int l) {
    const GraphLayer& layer = graph_.layers[l];
    std::vector<Channels>& reads = layout_.reads[l];
    const int top = layer.tops[0];
    reads[0] = choose(l, 0, saves_[top]);
    for (int b = 1; b < layer.rule.coupled; ++b)
      if (held(layer, b) != reads[0]) reads[0] = needed_of(held(layer, 0), needs_.edges[l][0]);
    for (int b = 1; b < layer.rule.coupled; ++b) reads[b] = reads[0];
    layout_.blobs[top] = reads[0];
  }

  void place_sum(int l) {
    const GraphLayer& layer = graph_.layers[l];
    std::vector<Channels>& reads = layout_.reads[l];
    bool is_even = layer.twins < 0;
    for (std::size_t b = 0; b < reads.size(); ++b) {
      reads[b] = held(layer, b);
      is_even = is_even && reads[b] == reads[0];
    }
    Channels& top = layout_.blobs[layer.tops[0]];
    if (is_even) {
      top = reads[0];
      return;
    }
    for (std::size_t b = 0; b < reads.size(); ++b)
      reads[b] = needed_of(held(layer, b), needs_.edges[l][b]);
    // The longest part first, so that its order is the sum's.
    std::vector<std::size_t> order(reads.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return reads[a].size() > reads[b].size();
    });
    for (const std::size_t b : order)
      for (const int c : reads[b])
        if (std::find(top.begin(), top.end(), c) == top.end()) top.push_back(c);
    for (Channels& read : reads) {
      if (read.size() != top.size()) continue;
      read = top;
    }
  }

  void place_mix(int l) {
    const GraphLayer& layer = graph_.layers[l];
    const int groups = layer.rule.groups;
    const int inputs = graph_.blobs[layer.bottoms[0]].channels() / groups;
    const int outputs = graph_.blobs[layer.tops[0]].channels() / groups;
    Channels& read = layout_.reads[l][0];
    if (groups == 1 || inputs == 1) {
      read = choose(l, 0, true);
    } else {
      read.clear();
      const ChannelNeeds& needs = needs_.edges[l][0];
      const Channels fewer = layer.twins >= 0 ? needed(needs) : needed_of(held(layer, 0), needs);
      for (const int g : groups_of(fewer, inputs))
        std::copy_if(fewer.begin(), fewer.end(), std::back_inserter(read),
                     [&](int c) { return c / inputs == g; });
    }
    Channels& top = layout_.blobs[layer.tops[0]];
    const ChannelNeeds& top_needs = needs_.blobs[layer.tops[0]];
    const int most = most_outputs(top_needs, outputs);
    for (const int g : groups == 1 ? Channels{0} : groups_of(read, inputs)) {
      Channels made;
      for (int o = g * outputs; o < (g + 1) * outputs; ++o)
        if (top_needs[o] != Need::NONE) made.push_back(o);
      // A group that came along unasked is as large as the others.
      for (int o = g * outputs; static_cast<int>(made.size()) < most; ++o)
        if (top_needs[o] == Need::NONE) made.push_back(o);
      top.insert(top.end(), made.begin(), made.end());
    }
  }

  static int most_outputs(const ChannelNeeds& needs, int outputs) {
    int most = 0;
    for (std::size_t begin = 0; begin < needs.size(); begin += outputs) {
      const auto first = needs.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto none = std::count(first, first + outputs, Need::NONE);
      most = std::max(most, outputs - static_cast<int>(none));
    }
    return most;
  }

  void place_move(int l) {
    const GraphLayer& layer = graph_.layers[l];
    std::vector<Channels>& reads = layout_.reads[l];
    // By bottom and channel, the channels of each top that are made of it.
    std::vector<std::vector<std::vector<Channels>>> made(layer.tops.size());
    for (std::size_t t = 0; t < layer.tops.size(); ++t) {
      for (const int bottom : layer.bottoms) made[t].emplace_back(graph_.blobs[bottom].channels());
      for (std::size_t c = 0; c < layer.rule.sources[t].size(); ++c) {
        const ChannelRule::Source& source = layer.rule.sources[t][c];
        made[t][source.bottom][source.channel].push_back(static_cast<int>(c));
      }
    }
    const bool is_slice = layer.tops.size() > 1 && layer.parameter.type() != "Split";
    for (std::size_t b = 0; b < reads.size(); ++b) {
      const Channels whole = layer.twins >= 0 ? needed(needs_.edges[l][b]) : held(layer, b);
      reads[b].clear();
      if (!is_slice) {
        if (!needed(needs_.edges[l][b]).empty()) reads[b] = whole;
        continue;
      }
      // Part after part, those of unneeded tops left out.
      for (std::size_t t = 0; t < layer.tops.size(); ++t) {
        if (needed(needs_.blobs[layer.tops[t]]).empty()) continue;
        std::copy_if(whole.begin(), whole.end(), std::back_inserter(reads[b]),
                     [&](int c) { return !made[t][b][c].empty(); });
      }
    }
    for (std::size_t t = 0; t < layer.tops.size(); ++t) {
      Channels& top = layout_.blobs[layer.tops[t]];
      for (std::size_t b = 0; b < reads.size(); ++b)
        for (const int c : reads[b])
          top.insert(top.end(), made[t][b][c].begin(), made[t][b][c].end());
    }
    if (layer.parameter.type() == "ShuffleChannel" &&
        still_shuffles(layer, reads[0], graph_.blobs[layer.bottoms[0]].channels()))
      layout_.blobs[layer.tops[0]] = all_channels(static_cast<int>(reads[0].size()));
  }

  /// Zeros that others need may come along; of what came along unasked the value is not known.
  void place_total(int l) {
    const int bottom = graph_.layers[l].bottoms[0];
    Channels& read = layout_.reads[l][0];
    read.clear();
    std::copy_if(layout_.blobs[bottom].begin(), layout_.blobs[bottom].end(),
                 std::back_inserter(read),
                 [&](int c) { return needs_.blobs[bottom][c] == Need::VALUE; });
  }

  const Graph& graph_;
  const Needs& needs_;
  std::vector<bool> saves_;
  Layout layout_;
};

}  // namespace

Channels groups_of(const Channels& inputs, int group_inputs) {
  Channels groups;
  for (const int c : inputs)
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a layer's groups divide its channels
    if (std::find(groups.begin(), groups.end(), c / group_inputs) == groups.end())
      groups.push_back(c / group_inputs);
  return groups;
}

Channels all_channels(int count) {
  Channels channels(count);
  std::iota(channels.begin(), channels.end(), 0);
  return channels;
}

bool is_sum_of_parts(const GraphLayer& layer, const std::vector<Channels>& reads) {
  return layer.rule.role == Role::SUM &&
         std::any_of(reads.begin(), reads.end(),
                     [&](const Channels& read) { return read != reads[0]; });
}

bool still_shuffles(const GraphLayer& layer, const Channels& read, int channels) {
  return layer.parameter.type() == "ShuffleChannel" && read == all_channels(channels);
}

Layout find_layout(const Graph& graph, const Needs& needs) {
  return LayoutFinder(graph, needs).find();
}

}  // namespace vibnet
