#include "compress/pick.h"

#include <algorithm>
#include <utility>

#include "net/filter.h"

namespace vibnet {
namespace {

/// Where each of the wanted channels stands in what is held.
std::vector<int> places_of(const Channels& wanted, const Channels& held) {
  std::map<int, int> place;
  for (std::size_t p = 0; p < held.size(); ++p) place[held[p]] = static_cast<int>(p);
  std::vector<int> places;
  for (const int c : wanted) {
    const auto found = place.find(c);
    places.push_back(found == place.end() ? -1 : found->second);
  }
  return places;
}

/// The phases that a layer is for, as another layer is to have them.
LayerParameter with_phases_of(const LayerParameter& reader) {
  LayerParameter layer;
  *layer.mutable_include() = reader.include();
  *layer.mutable_exclude() = reader.exclude();
  return layer;
}

bool have_same_phases(const LayerParameter& a, const LayerParameter& b) {
  return with_phases_of(a).SerializeAsString() == with_phases_of(b).SerializeAsString();
}

bool work_on_channels(const LayerParameter& slice, const LayerParameter& concat) {
  const SliceParameter& s = slice.slice_param();
  const ConcatParameter& c = concat.concat_param();
  return !s.has_slice_dim() && !c.has_concat_dim() && s.axis() == 1 && c.axis() == 1;
}

/// The Concat that joins all pieces of the Slice as they were; -1 for none.
int find_rejoining(const Graph& graph, int slice, const std::vector<std::vector<int>>& readers) {
  const GraphLayer& s = graph.layers[slice];
  if (s.is_double || readers[s.tops[0]].size() != 1) return -1;
  const int concat = readers[s.tops[0]][0];
  const GraphLayer& c = graph.layers[concat];
  if (c.parameter.type() != "Concat" || c.is_double || c.bottoms != s.tops) return -1;
  if (!work_on_channels(s.parameter, c.parameter) || !have_same_phases(s.parameter, c.parameter))
    return -1;
  for (const int top : s.tops)
    if (readers[top].size() != 1) return -1;
  const std::vector<int>& of_top = readers[c.tops[0]];
  const bool is_needed = graph.blobs[c.tops[0]].is_pinned || graph.is_output(c.tops[0]) ||
                         std::any_of(of_top.begin(), of_top.end(),
                                     [&](int reader) { return is_bypassed(graph.layers[reader]); });
  return is_needed ? -1 : concat;
}

std::string fresh(const std::string& name, std::set<std::string>* used) {
  std::string candidate = name;
  for (int n = 2; !used->insert(candidate).second; ++n) candidate = name + std::to_string(n);
  return candidate;
}

}  // namespace

Picker::Picker(const Graph& uncut, Graph* graph) : graph_(graph) {
  for (const GraphLayer& layer : uncut.layers) layer_names_.insert(layer.parameter.name());
  for (const GraphBlob& blob : uncut.blobs) blob_names_.insert(blob.name);
}

std::string Picker::fresh_layer(const std::string& name) { return fresh(name, &layer_names_); }
std::string Picker::fresh_blob(const std::string& name) { return fresh(name, &blob_names_); }

GraphLayer& Picker::add(const LayerParameter& parameter, const std::vector<int>& bottoms,
                        const std::vector<std::string>& tops) {
  GraphLayer layer;
  layer.parameter = parameter;
  layer.bottoms = bottoms;
  layer.is_in_test = is_included(parameter, state_in(graph_->header, TEST));
  layer.is_in_train = is_included(parameter, state_in(graph_->header, TRAIN));
  for (const std::string& top : tops) layer.tops.push_back(graph_->add_blob(top));
  graph_->layers.push_back(std::move(layer));
  return graph_->layers.back();
}

int Picker::add_one(const std::string& type, const std::string& name,
                    const std::vector<int>& bottoms, const std::string& top,
                    const LayerParameter& reader) {
  LayerParameter parameter = with_phases_of(reader);
  parameter.set_name(fresh_layer(name));
  parameter.set_type(type);
  return add(parameter, bottoms, {top}).tops[0];
}

void Picker::silence(const std::string& name, const std::vector<int>& bottoms,
                     const LayerParameter& reader) {
  if (bottoms.empty()) return;
  LayerParameter parameter = with_phases_of(reader);
  parameter.set_name(fresh_layer(name));
  parameter.set_type("Silence");
  add(parameter, bottoms, {}).kind = GraphLayer::Kind::HEAD;
}

std::map<int, int> Picker::slice(int blob, int size, const std::map<int, int>& pieces,
                                 const LayerParameter& reader) {
  if (pieces.size() == 1 && pieces.begin()->second == size) return {{0, blob}};
  const std::string base = graph_->blobs[blob].name;
  LayerParameter parameter = with_phases_of(reader);
  parameter.set_name(fresh_layer(base + "_slice"));
  parameter.set_type("Slice");
  std::vector<int> begins;
  std::vector<std::string> tops;
  std::vector<bool> is_used;
  const auto add_piece = [&](int begin, int end, bool used) {
    begins.push_back(begin);
    is_used.push_back(used);
    tops.push_back(fresh_blob(base + (used ? "_kept_" : "_cut_") + std::to_string(begin)));
    if (end < size) parameter.mutable_slice_param()->add_slice_point(end);
  };
  int at = 0;
  for (const auto& [begin, length] : pieces) {
    if (begin > at) add_piece(at, begin, false);
    at = begin + length;
    add_piece(begin, at, true);
  }
  if (at < size) add_piece(at, size, false);
  const std::vector<int> made = add(parameter, {blob}, tops).tops;
  std::map<int, int> by_begin;
  std::vector<int> silent;
  for (std::size_t i = 0; i < made.size(); ++i)
    if (is_used[i])
      by_begin[begins[i]] = made[i];
    else
      silent.push_back(made[i]);
  silence(base + "_silence", silent, reader);
  return by_begin;
}

int Picker::pick(int blob, const Channels& held, const Channels& wanted,
                 const LayerParameter& reader) {
  if (held == wanted) return blob;
  // By places: a blob that stands for several has channels of several numbers.
  const std::vector<int> places = places_of(wanted, held);
  const auto key = std::make_tuple(blob, places, with_phases_of(reader).SerializeAsString());
  const auto known = picked_.find(key);
  if (known != picked_.end()) return known->second;
  std::vector<std::pair<int, int>> runs;  // begin, length, in the order wanted
  for (const int place : places) {
    if (!runs.empty() && runs.back().first + runs.back().second == place)
      ++runs.back().second;
    else
      runs.emplace_back(place, 1);
  }
  const std::string base = graph_->blobs[blob].name;
  const std::map<int, int> pieces = slice(blob, static_cast<int>(held.size()),
                                          std::map<int, int>(runs.begin(), runs.end()), reader);
  std::vector<int> parts;
  parts.reserve(runs.size());
  for (const auto& run : runs) parts.push_back(pieces.at(run.first));
  const int picked = parts.size() == 1 ? parts[0]
                                       : add_one("Concat", base + "_concat", parts,
                                                 fresh_blob(base + "_kept"), reader);
  picked_[key] = picked;
  return picked;
}

int Picker::sum(const std::string& name, const std::vector<int>& blobs,
                const std::vector<float>& coefficients, const LayerParameter& eltwise) {
  if (blobs.size() == 1 && coefficients[0] == 1) return blobs[0];
  LayerParameter parameter = with_phases_of(eltwise);
  parameter.set_name(fresh_layer(name));
  if (blobs.size() == 1) {
    parameter.set_type("Power");
    parameter.mutable_power_param()->set_scale(coefficients[0]);
  } else {
    parameter.set_type("Eltwise");
    if (std::any_of(coefficients.begin(), coefficients.end(), [](float c) { return c != 1; }))
      parameter.mutable_eltwise_param()->mutable_coeff()->Add(coefficients.begin(),
                                                              coefficients.end());
  }
  return add(parameter, blobs, {fresh_blob(name)}).tops[0];
}

int Picker::sum_parts(const std::vector<Term>& terms, const Channels& top,
                      const LayerParameter& eltwise) {
  struct Run {
    std::vector<int> begins;  // by term; -1 for one that adds nothing
    int length;
  };
  std::vector<std::vector<int>> places;  // by term
  for (const Term& term : terms) {
    const std::set<int> adds(term.read.begin(), term.read.end());
    places.push_back(places_of(top, term.held));
    for (std::size_t t = 0; t < top.size(); ++t)
      if (adds.count(top[t]) == 0) places.back()[t] = -1;
  }
  std::vector<Run> runs;
  for (std::size_t t = 0; t < top.size(); ++t) {
    bool goes_on = !runs.empty();
    for (std::size_t b = 0; goes_on && b < terms.size(); ++b) {
      const int begin = runs.back().begins[b];
      goes_on = places[b][t] == (begin < 0 ? -1 : begin + runs.back().length);
    }
    if (!goes_on) {
      runs.push_back({{}, 0});
      for (std::size_t b = 0; b < terms.size(); ++b) runs.back().begins.push_back(places[b][t]);
    }
    ++runs.back().length;
  }
  std::vector<std::map<int, int>> pieces;
  for (std::size_t b = 0; b < terms.size(); ++b) {
    std::map<int, int> lengths;
    for (const Run& run : runs)
      if (run.begins[b] >= 0) lengths[run.begins[b]] = run.length;
    const int held = static_cast<int>(terms[b].held.size());
    pieces.push_back(lengths.empty() ? lengths : slice(terms[b].blob, held, lengths, eltwise));
  }
  const std::string& name = eltwise.name();
  std::vector<int> sums;
  for (const Run& run : runs) {
    std::vector<int> parts;
    std::vector<float> coefficients;
    for (std::size_t b = 0; b < terms.size(); ++b) {
      if (run.begins[b] < 0) continue;
      parts.push_back(pieces[b].at(run.begins[b]));
      coefficients.push_back(terms[b].coefficient);
    }
    sums.push_back(sum(name + "_sum_" + std::to_string(sums.size()), parts, coefficients, eltwise));
  }
  if (sums.size() == 1) return sums[0];
  return add_one("Concat", name + "_concat", sums, fresh_blob(name + "_joined"), eltwise);
}

void drop_rejoined_slices(Graph* graph) {
  for (int s = 0; s < static_cast<int>(graph->layers.size()); ++s) {
    if (graph->layers[s].parameter.type() != "Slice") continue;
    graph->find_uses();
    const std::vector<std::vector<int>> readers = graph->find_readers();
    const int c = find_rejoining(*graph, s, readers);
    if (c < 0) continue;
    const int joined = graph->layers[c].tops[0];
    for (const int reader : readers[joined])
      std::replace(graph->layers[reader].bottoms.begin(), graph->layers[reader].bottoms.end(),
                   joined, graph->layers[s].bottoms[0]);
    graph->layers.erase(graph->layers.begin() + c);  // which stands behind s
    graph->layers.erase(graph->layers.begin() + s);
    --s;
  }
}

}  // namespace vibnet
