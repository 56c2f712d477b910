#include "compress/rewrite.h"

#include <algorithm>

#include "net/deploy.h"

namespace vibnet {
namespace {

constexpr const char* kSelected = "_kept";

using Names = std::map<std::string, std::string>;

/// The phases and stages that a layer is for.
std::string rules_of(const LayerParameter& layer) {
  LayerParameter rules;
  *rules.mutable_include() = layer.include();
  *rules.mutable_exclude() = layer.exclude();
  return rules.SerializeAsString();
}

/// The layer as `edited` has it, if it has it.
LayerParameter edited_form(const LayerParameter& layer, const NetParameter& edited) {
  for (const LayerParameter& edit : edited.layer())
    if (edit.name() == layer.name() && rules_of(edit) == rules_of(layer)) return edit;
  return layer;
}

/// The layer with its blobs under their new names; an in-place layer's top follows its bottom.
void rename(const Names& names, LayerParameter* layer) {
  const auto was_bottom = layer->bottom();
  for (std::string& bottom : *layer->mutable_bottom())
    if (names.count(bottom) > 0) bottom = names.at(bottom);
  for (std::string& top : *layer->mutable_top()) {
    const bool in_place = std::find(was_bottom.begin(), was_bottom.end(), top) != was_bottom.end();
    if (in_place && names.count(top) > 0) top = names.at(top);
  }
}

/// Stretches of neighbours with one fate.
struct Run {
  bool kept;
  int end;
};

std::vector<Run> runs_of(const Mask& units) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (runs.empty() || runs.back().kept != units[i]) runs.push_back({units[i], 0});
    runs.back().end = static_cast<int>(i) + 1;
  }
  return runs;
}

/// Slice the blob into runs, silence those that go and join the others again.
void add_selection(const std::string& layer, const std::string& blob, const Mask& units,
                   NetParameter* net) {
  LayerParameter slice;
  slice.set_name(layer + "_slice");
  slice.set_type("Slice");
  slice.add_bottom(blob);
  LayerParameter silence;
  silence.set_name(layer + "_silence");
  silence.set_type("Silence");
  LayerParameter concat;
  concat.set_name(layer + "_concat");
  concat.set_type("Concat");
  concat.add_top(blob + kSelected);
  const std::vector<Run> runs = runs_of(units);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string part = layer + (runs[i].kept ? "_kept_" : "_cut_") + std::to_string(i);
    slice.add_top(part);
    (runs[i].kept ? concat : silence).add_bottom(part);
    if (i + 1 < runs.size()) slice.mutable_slice_param()->add_slice_point(runs[i].end);
  }
  *net->add_layer() = slice;
  *net->add_layer() = silence;
  *net->add_layer() = concat;
}

bool is_part_of_selection(const std::string& name, const std::string& selection) {
  return name == selection + "_slice" || name == selection + "_silence" ||
         name == selection + "_concat";
}

}  // namespace

NetParameter Rewrite::apply(const NetParameter& net, const NetParameter& edited) const {
  NetParameter out = net;
  out.clear_layer();
  Names names;
  for (const LayerParameter& given : net.layer()) {
    LayerParameter layer = edited_form(given, edited);
    rename(names, &layer);
    std::string blob = layer.top_size() > 0 ? layer.top(0) : "";
    if (removed_.count(layer.name()) > 0) {
      blob = layer.bottom(0);
      names[layer.top(0)] = blob;
    } else {
      *out.add_layer() = layer;
    }
    const auto selection = selections_.find(layer.name());
    if (selection == selections_.end()) continue;
    add_selection(layer.name(), blob, selection->second, &out);
    names[layer.top(0)] = blob + kSelected;
    names[blob] = blob + kSelected;
  }
  return out;
}

NetParameter Rewrite::deploy(const NetParameter& net, const std::vector<int>& input_shape) const {
  const NetParameter whole = input_selection_.empty() ? net : without_selection(net);
  std::map<std::string, std::vector<int>> shapes;
  for (const std::string& input : deployed_inputs(whole)) shapes[input] = input_shape;
  return deploy_net(whole, shapes);
}

NetParameter Rewrite::without_selection(const NetParameter& net) const {
  NetParameter out = net;
  out.clear_layer();
  Names names;
  for (const LayerParameter& given : net.layer()) {
    LayerParameter layer = given;
    rename(names, &layer);
    if (!is_part_of_selection(layer.name(), input_selection_))
      *out.add_layer() = layer;
    else if (layer.type() == "Slice")
      names[layer.bottom(0) + kSelected] = layer.bottom(0);
  }
  return out;
}

}  // namespace vibnet
