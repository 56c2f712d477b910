#include "compress/cut.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "compress/pick.h"
#include "compress/weights_view.h"
#include "core/gate_rule.h"
#include "net/deploy.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;
using Role = ChannelRule::Role;

/// The slices of axis 0 that the channels name.
BlobProto keep_slices(const Channels& channels, const BlobProto& blob) {
  if (blob.shape().dim_size() == 0) return blob;
  const int size = blob.data_size() / std::max<int>(1, static_cast<int>(blob.shape().dim(0)));
  BlobProto kept;
  *kept.mutable_shape() = blob.shape();
  kept.mutable_shape()->set_dim(0, static_cast<int>(channels.size()));
  kept.mutable_data()->Reserve(size * static_cast<int>(channels.size()));
  for (const int c : channels) {
    const float* slice = blob.data().data() + std::int64_t{c} * size;
    kept.mutable_data()->Add(slice, slice + size);
  }
  return kept;
}

struct BlobUse {
  std::set<int> made, read;
};

BlobUse use_of(const Graph& graph, Phase phase) {
  BlobUse use;
  for (const GraphLayer& layer : graph.layers) {
    if (!graph.is_there(layer, phase)) continue;
    use.made.insert(layer.tops.begin(), layer.tops.end());
    use.read.insert(layer.bottoms.begin(), layer.bottoms.end());
  }
  return use;
}

/// An EACH layer's blobs for the channels that stay.
std::vector<BlobProto> keep_channels(const GraphLayer& layer, const Channels& read,
                                     std::vector<BlobProto> blobs) {
  if (layer.rule.role != Role::EACH) return blobs;
  for (int b = 0; b < layer.rule.channel_blobs; ++b) blobs[b] = keep_slices(read, blobs[b]);
  return blobs;
}

int groups_left(const GraphLayer& layer, const Graph& graph, const Channels& read) {
  if (layer.rule.groups == 1) return 1;
  const int inputs = graph.blobs[layer.bottoms[0]].channels() / layer.rule.groups;
  return static_cast<int>(groups_of(read, inputs).size());
}

WeightsCut weights_cut(const Graph& graph, const Plan& plan, int l) {
  const GraphLayer& layer = graph.layers[l];
  WeightsCut cut;
  cut.inputs = plan.layout.reads[l][0];
  cut.outputs = plan.layout.blobs[layer.tops[0]];
  cut.groups = groups_left(layer, graph, cut.inputs);
  const ChannelNeeds& needs = plan.needs.edges[l][0];
  for (int i = 0; i < static_cast<int>(needs.size()); ++i)
    cut.used.push_back(needs[i] == Need::VALUE && !folds_into_bias(graph, plan.constants, l, i));
  for (int o = 0; o < graph.blobs[layer.tops[0]].channels(); ++o)
    cut.live.push_back(is_live(graph, plan.constants, plan.needs, l, o));
  return cut;
}

/// The bias of the outputs that stay: with what constant inputs add, and of an output that is not
/// computed, its value.
std::vector<float> cut_bias(const Graph& graph, const Plan& plan, int l, const WeightsCut& cut) {
  const GraphLayer& layer = graph.layers[l];
  const WeightsView weights(layer, graph);
  const Constants& inputs = plan.constants[layer.bottoms[0]];
  const Constants& outputs = plan.constants[layer.tops[0]];
  std::vector<int> shifting;
  for (int i = 0; i < weights.inputs(); ++i)
    if (inputs[i].value_or(0) != 0 && folds_into_bias(graph, plan.constants, l, i))
      shifting.push_back(i);
  std::vector<float> bias;
  for (const int o : cut.outputs) {
    if (!cut.live[o]) {
      bias.push_back(outputs[o].value_or(0));
      continue;
    }
    double value = weights.bias(o);
    for (const int i : shifting)
      if (i >= weights.first_input(o) && i < weights.end_input(o))
        value += double{*inputs[i]} * weights.sum(o, i);
    bias.push_back(static_cast<float>(value));
  }
  return bias;
}

void state_sizes(int outputs, int groups, LayerParameter* layer) {
  if (layer->type() == "InnerProduct") {
    layer->mutable_inner_product_param()->set_num_output(outputs);
    return;
  }
  ConvolutionParameter* parameter = layer->mutable_convolution_param();
  parameter->set_num_output(outputs);
  if (!parameter->has_group()) return;
  if (groups == 1 && layer->type() == "Convolution")
    parameter->clear_group();
  else
    parameter->set_group(groups);
}

/// Writes the layer's shape so that it follows from the bottom's.
void free_axis_1(const GraphLayer& layer, int bottom_axes, ReshapeParameter* parameter) {
  auto* dims = parameter->mutable_shape()->mutable_dim();
  const int first =
      parameter->axis() >= 0 ? parameter->axis() : bottom_axes + 1 + parameter->axis();
  if (first > 1 || 1 - first >= dims->size()) return;
  const bool joins = layer.rule.role == Role::MOVE;
  if (joins && first == 0 && dims->Get(0) == -1) dims->Set(0, 0);
  dims->Set(1 - first, joins ? -1 : 0);
}

class Cutter {
 public:
  Cutter(const Graph& graph, const Plan& plan, const Masks& masks, Gates gates, Values values,
         std::set<std::string>* scales)
      : graph_(graph),
        plan_(plan),
        masks_(masks),
        gates_(gates),
        values_(values),
        scales_(scales),
        picker_(graph, &out_),
        new_of_(graph.blobs.size(), -1) {
    out_.header = graph.header;
  }

  Graph cut() {
    for (std::size_t l = 0; l < graph_.layers.size(); ++l)
      if (plan_.needs.living[l]) cut_layer(static_cast<int>(l));
    finish();
    return std::move(out_);
  }

 private:
  void cut_layer(int l) {
    const GraphLayer& layer = graph_.layers[l];
    if (layer.kind == Kind::SOURCE) return copy(l, {});
    if (layer.parameter.type() == "Silence") return silence(l);
    if (is_sum_of_parts(layer, plan_.layout.reads[l])) return sum_of_parts(l);
    std::vector<int> bottoms;
    for (std::size_t b = 0; b < layer.bottoms.size(); ++b) {
      const bool is_left_out = layer.rule.role == Role::MOVE && plan_.layout.reads[l][b].empty();
      if (!is_left_out) bottoms.push_back(read(l, b));
    }
    if (renames_only(l, bottoms)) {
      for (const int top : layer.tops)
        if (!plan_.layout.blobs[top].empty()) alias(top, bottoms[0], layer);
      return;
    }
    copy(l, bottoms);
  }

  /// The new blob that holds what the layer reads of its bottom.
  int read(int l, std::size_t b) {
    const GraphLayer& layer = graph_.layers[l];
    const int blob = layer.bottoms[b];
    if (graph_.blobs[blob].channels() == 0) return new_of_[blob];
    return picker_.pick(new_of_[blob], held(blob), plan_.layout.reads[l][b], layer.parameter);
  }

  /// What the new blob holds.
  Channels held(int blob) const {
    return in_order_.count(blob) > 0 ? whole(blob) : plan_.layout.blobs[blob];
  }

  bool renames_only(int l, const std::vector<int>& bottoms) const {
    const GraphLayer& layer = graph_.layers[l];
    const std::string& type = layer.parameter.type();
    if (layer.rule.role != Role::MOVE || bottoms.size() != 1) return false;
    const auto parts = std::count_if(layer.tops.begin(), layer.tops.end(),
                                     [this](int top) { return !plan_.layout.blobs[top].empty(); });
    if (type == "ShuffleChannel")
      return !still_shuffles(layer, plan_.layout.reads[l][0],
                             graph_.blobs[layer.bottoms[0]].channels());
    return type == "Concat" || type == "Split" || (type == "Slice" && parts == 1);
  }

  /// What the net is for comes out under its name.
  bool keeps_name(int top) const { return graph_.is_output(top) || graph_.blobs[top].is_score; }

  /// The top is another blob already.
  void alias(int top, int blob, const GraphLayer& layer) {
    const bool is_new = std::count(new_of_.begin(), new_of_.end(), blob) == 0;
    new_of_[top] = blob;
    const bool stays = keeps_name(top) && plan_.layout.blobs[top] == whole(top);
    const std::string& name = graph_.blobs[top].name;
    if (stays && is_new)
      out_.blobs[blob].name = name;
    else if (stays)
      new_of_[top] =
          picker_.add_one("Split", layer.parameter.name(), {blob}, name, phases_of(layer));
    put_in_order(top, layer);
  }

  /// A layer of the phases that have the layer's top. What is bypassed in a phase is there under
  /// the same name.
  LayerParameter phases_of(const GraphLayer& layer) const {
    if (!is_bypassed(layer)) return layer.parameter;
    const GraphBlob& bottom = graph_.blobs[layer.bottoms[0]];
    const bool is_everywhere = bottom.is_in_test && bottom.is_in_train;
    return is_everywhere ? LayerParameter() : phases_of(*graph_.maker_of(layer.bottoms[0]));
  }

  Channels whole(int blob) const { return all_channels(graph_.blobs[blob].channels()); }

  /// Outputs come out as they did, whatever order suited the layers before.
  void put_in_order(int top, const GraphLayer& layer) {
    if (!keeps_name(top) || held(top) == whole(top)) return;
    const std::string& name = graph_.blobs[top].name;
    if (out_.blobs[new_of_[top]].name == name)
      out_.blobs[new_of_[top]].name = picker_.fresh_blob(name + "_parts");
    new_of_[top] = picker_.pick(new_of_[top], held(top), whole(top), phases_of(layer));
    in_order_.insert(top);
    out_.blobs[new_of_[top]].name = name;
  }

  void copy(int l, const std::vector<int>& bottoms) {
    const GraphLayer& layer = graph_.layers[l];
    GraphLayer added;
    added.parameter = layer.parameter;
    added.blobs = cut_layer_of(l, &added.parameter);
    added.kind = layer.kind;
    added.is_in_test = layer.is_in_test;
    added.is_in_train = layer.is_in_train;
    added.is_double = layer.is_double;
    added.bottoms = bottoms;
    // Of a head that one phase has: where it reads a blob of both now, the other still has no part.
    if (is_bypassed(layer) && !(graph_.is_there(layer, TEST) && graph_.is_there(layer, TRAIN)))
      added.parameter.set_bottom(0, out_.blobs[bottoms[0]].name);
    for (const int top : layer.tops) {
      const bool is_left_out = layer.rule.role == Role::MOVE && plan_.layout.blobs[top].empty();
      if (is_left_out) continue;
      if (new_of_[top] < 0 || !layer.is_double) {
        new_of_[top] = out_.add_blob(graph_.blobs[top].name);
        out_.blobs.back().shape = graph_.blobs[top].shape;  // of sources; others' follow
        out_.blobs.back().has_shape = graph_.blobs[top].has_shape;
        out_.blobs.back().is_pinned = graph_.blobs[top].is_pinned;
      }
      added.tops.push_back(new_of_[top]);
    }
    out_.layers.push_back(std::move(added));
    for (const int top : layer.tops)
      if (!plan_.layout.blobs[top].empty() && layer.kind == Kind::INNER) put_in_order(top, layer);
  }

  void silence(int l) {
    const GraphLayer& layer = graph_.layers[l];
    std::vector<int> bottoms;
    for (const int bottom : layer.bottoms)
      if (new_of_[bottom] >= 0) bottoms.push_back(new_of_[bottom]);
    if (!bottoms.empty()) copy(l, bottoms);
  }

  void sum_of_parts(int l) {
    const GraphLayer& layer = graph_.layers[l];
    const EltwiseParameter& eltwise = layer.parameter.eltwise_param();
    std::vector<Picker::Term> terms;
    for (int b = 0; b < static_cast<int>(layer.bottoms.size()); ++b) {
      const Channels& read = plan_.layout.reads[l][b];
      if (read.empty()) continue;
      terms.push_back({new_of_[layer.bottoms[b]], held(layer.bottoms[b]), read,
                       eltwise.coeff_size() == 0 ? 1 : eltwise.coeff(b)});
    }
    const int top = layer.tops[0];
    alias(top, picker_.sum_parts(terms, plan_.layout.blobs[top], layer.parameter), layer);
  }

  /// The weights that stay; `cut` gets the sizes that go with them.
  std::vector<BlobProto> cut_layer_of(int l, LayerParameter* cut) {
    const GraphLayer& layer = graph_.layers[l];
    if (layer.kind != Kind::INNER) return whole_blobs(layer);
    if (is_gate(cut->type()) && gates_ == Gates::BECOME_SCALES && has_values(layer))
      return make_scale(l, cut);
    if (layer.rule.role == Role::WALL) return whole_blobs(layer);
    if (layer.rule.role == Role::MIX) return cut_mixer(l, cut);
    const Channels& read = plan_.layout.reads[l][0];
    const bool is_whole = read == whole(layer.bottoms[0]);
    if (is_gate(cut->type()) && !is_whole) set_gate_numbers(read, cut);
    if (cut->type() == "Reshape" && !is_whole)
      free_axis_1(layer, static_cast<int>(graph_.blobs[layer.bottoms[0]].shape.size()),
                  cut->mutable_reshape_param());
    if (cut->type() == "Slice") state_slices(l, cut);
    if (layer.rule.is_mean && !is_whole) keep_mean(l, cut->mutable_reduction_param());
    return keep_channels(layer, read, layer.blobs);
  }

  std::vector<BlobProto> whole_blobs(const GraphLayer& layer) const {
    if (values_ == Values::WRITTEN) return layer.blobs;
    std::vector<BlobProto> shapes;
    for (const BlobProto& blob : layer.blobs) shapes.push_back(shape_only(shape_of(blob.shape())));
    return shapes;
  }

  std::vector<BlobProto> cut_mixer(int l, LayerParameter* cut) const {
    const GraphLayer& layer = graph_.layers[l];
    const WeightsCut weights = weights_cut(graph_, plan_, l);
    state_sizes(static_cast<int>(weights.outputs.size()), weights.groups, cut);
    std::vector<BlobProto> blobs{values_ == Values::WRITTEN
                                     ? cut_weights(layer, graph_, weights, layer.blobs[0])
                                     : shape_only(shape_of(cut_shape(layer, weights)))};
    if (!has_values(layer)) {
      if (layer.blobs.size() > 1) blobs.push_back(keep_slices(weights.outputs, layer.blobs[1]));
      return blobs;
    }
    const std::vector<float> bias = cut_bias(graph_, plan_, l, weights);
    const bool shifts = std::any_of(bias.begin(), bias.end(), [](float b) { return b != 0; });
    if (layer.blobs.size() > 1 || shifts) blobs.push_back(blob_of(bias));
    if (layer.blobs.size() == 1 && shifts) state_bias(cut);
    return blobs;
  }

  std::vector<BlobProto> make_scale(int l, LayerParameter* cut) const {
    const GraphLayer& layer = graph_.layers[l];
    const std::vector<GateUnit> units = gate_units(with_blobs(layer));
    const std::vector<bool>& kept = masks_.at(cut->name());
    std::vector<float> factors;
    for (const int c : plan_.layout.reads[l][0]) factors.push_back(kept[c] ? units[c].factor : 0);
    cut->set_type("Scale");
    cut->clear_information_bottleneck_param();
    cut->clear_hard_concrete_param();
    cut->clear_param();
    if (scales_ != nullptr) scales_->insert(cut->name());
    return {blob_of(factors)};
  }

  /// A mean of fewer channels times what makes it the mean of all.
  void keep_mean(int l, ReductionParameter* reduction) const {
    const auto left = static_cast<float>(plan_.layout.reads[l][0].size());
    const int all = graph_.blobs[graph_.layers[l].bottoms[0]].channels();
    reduction->set_coeff(reduction->coeff() * left / static_cast<float>(all));
  }

  void state_slices(int l, LayerParameter* slice) const {
    const GraphLayer& layer = graph_.layers[l];
    SliceParameter* parameter = slice->mutable_slice_param();
    parameter->clear_slice_point();
    int begin = 0;
    for (const int top : layer.tops) {
      const int size = static_cast<int>(plan_.layout.blobs[top].size());
      if (begin > 0 && size > 0) parameter->add_slice_point(begin);
      begin += size;
    }
  }

  void finish() {
    drop_rejoined_slices(&out_);
    out_.find_uses();
    const std::set<int> in_test = find_unread(TEST);
    const std::set<int> in_train = find_unread(TRAIN);
    std::vector<int> both, test, train;
    std::set_intersection(in_test.begin(), in_test.end(), in_train.begin(), in_train.end(),
                          std::back_inserter(both));
    std::set_difference(in_test.begin(), in_test.end(), in_train.begin(), in_train.end(),
                        std::back_inserter(test));
    std::set_difference(in_train.begin(), in_train.end(), in_test.begin(), in_test.end(),
                        std::back_inserter(train));
    picker_.silence("unread", both, LayerParameter());
    picker_.silence("unread", test, only_in(TEST));
    picker_.silence("unread", train, only_in(TRAIN));
    out_.infer();
  }

  static LayerParameter only_in(Phase phase) {
    LayerParameter layer;
    layer.add_include()->set_phase(phase);
    return layer;
  }

  /// What a phase has, and nothing of it reads any more: it must not become an output.
  std::set<int> find_unread(Phase phase) const {
    const BlobUse before = use_of(graph_, phase);
    const BlobUse now = use_of(out_, phase);
    std::set<int> unread;
    std::set<int> outputs;
    for (std::size_t b = 0; b < graph_.blobs.size(); ++b) {
      const int blob = static_cast<int>(b);
      if (now.made.count(new_of_[b]) == 0 || now.read.count(new_of_[b]) > 0) continue;
      (before.read.count(blob) > 0 ? unread : outputs).insert(new_of_[b]);
    }
    for (const int output : outputs) unread.erase(output);
    return unread;
  }

  const Graph& graph_;
  const Plan& plan_;
  const Masks& masks_;
  const Gates gates_;
  const Values values_;
  std::set<std::string>* scales_;
  Graph out_;
  Picker picker_;
  std::vector<int> new_of_;
  std::set<int> in_order_;  // outputs whose new blobs are not as the layout has them
};

}  // namespace

Plan make_plan(const Graph& graph, const Masks& masks, bool training) {
  Plan plan;
  plan.constants = find_constants(graph, masks, training);
  plan.needs = find_needs(graph, plan.constants);
  plan.layout = find_layout(graph, plan.needs);
  return plan;
}

Graph cut_net(const Graph& graph, const Plan& plan, const Masks& masks, Gates gates, Values values,
              std::set<std::string>* scales) {
  return Cutter(graph, plan, masks, gates, values, scales).cut();
}

NetParameter cut_along(const Graph& graph, const Plan& plan, const NetParameter& blobs) {
  std::map<std::string, const LayerParameter*> by_name;
  for (const LayerParameter& layer : blobs.layer()) by_name[layer.name()] = &layer;
  NetParameter out;
  for (std::size_t l = 0; l < graph.layers.size(); ++l) {
    const GraphLayer& layer = graph.layers[l];
    const auto found = by_name.find(layer.parameter.name());
    if (!plan.needs.living[l] || layer.kind != Kind::INNER || found == by_name.end()) continue;
    LayerParameter* cut = out.add_layer();
    cut->set_name(layer.parameter.name());
    std::vector<BlobProto> kept(found->second->blobs().begin(), found->second->blobs().end());
    if (layer.rule.role == Role::EACH)
      kept = keep_channels(layer, plan.layout.reads[l][0], std::move(kept));
    if (layer.rule.role == Role::MIX) {
      const WeightsCut weights = weights_cut(graph, plan, static_cast<int>(l));
      kept[0] = cut_weights(layer, graph, weights, kept[0]);
      if (kept.size() > 1) kept[1] = keep_slices(weights.outputs, kept[1]);
    }
    for (BlobProto& blob : kept) cut->add_blobs()->Swap(&blob);
  }
  return out;
}

}  // namespace vibnet
