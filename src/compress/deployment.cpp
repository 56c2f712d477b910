#include "compress/deployment.h"

#include <algorithm>
#include <memory>
#include <set>

#include "core/device_scope.h"
#include "net/deploy.h"
#include "net/layer_set_up.h"
#include "vibnet/error.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

/// Null for several, and none.
const LayerParameter* only_reader(const NetParameter& net, const std::string& blob) {
  const LayerParameter* reader = nullptr;
  for (const LayerParameter& layer : net.layer()) {
    if (std::count(layer.bottom().begin(), layer.bottom().end(), blob) == 0) continue;
    if (reader != nullptr) return nullptr;
    reader = &layer;
  }
  return reader;
}

/// What stands between an Input and those who read its selected features.
struct Selection {
  std::set<std::string> layers;
  std::string input;
  std::string selected;
  std::vector<int> kept;
};

/// The features that each top of the Slice holds: where they begin and end.
std::vector<std::pair<int, int>> pieces_of(const LayerParameter& slice, int size) {
  std::vector<std::pair<int, int>> pieces;
  int begin = 0;
  for (int t = 0; t < slice.top_size(); ++t) {
    const int end = t < slice.slice_param().slice_point_size()
                        ? static_cast<int>(slice.slice_param().slice_point(t))
                        : size;
    pieces.emplace_back(begin, end);
    begin = end;
  }
  return pieces;
}

bool joins_all_axes(const LayerParameter& layer) {
  const FlattenParameter& parameter = layer.flatten_param();
  return layer.type() == "Flatten" && parameter.axis() == 1 && parameter.end_axis() == -1;
}

Selection find_selection(const NetParameter& deploy, const std::set<std::string>& originals,
                         const LayerParameter& input) {
  Selection selection;
  if (input.top_size() != 1 || input.input_param().shape_size() != 1) return {};
  selection.input = input.top(0);
  const BlobShape& shape = input.input_param().shape(0);
  int features = 1;
  for (int d = 1; d < shape.dim_size(); ++d) features *= static_cast<int>(shape.dim(d));
  const LayerParameter* slice = only_reader(deploy, selection.input);
  bool is_flat = shape.dim_size() == 2;
  if (slice != nullptr && joins_all_axes(*slice)) {
    selection.layers.insert(slice->name());
    slice = only_reader(deploy, slice->top(0));
    is_flat = true;
  }
  if (!is_flat || slice == nullptr || slice->type() != "Slice" ||
      originals.count(slice->name()) > 0)
    return {};
  selection.layers.insert(slice->name());
  const auto pieces = pieces_of(*slice, features);
  std::vector<std::string> parts;
  for (int t = 0; t < slice->top_size(); ++t) {
    const LayerParameter* reader = only_reader(deploy, slice->top(t));
    if (reader == nullptr) return {};
    const bool joins = reader->type() == "Concat" && originals.count(reader->name()) == 0;
    if (joins || reader->type() == "Silence") selection.layers.insert(reader->name());
    if (reader->type() == "Silence") continue;
    parts.push_back(slice->top(t));
    selection.selected = joins ? reader->top(0) : slice->top(t);
    for (int f = pieces[t].first; f < pieces[t].second; ++f) selection.kept.push_back(f);
    if (joins && reader->bottom(static_cast<int>(parts.size()) - 1) != parts.back()) return {};
  }
  const bool is_one = parts.size() == 1 || std::all_of(parts.begin(), parts.end(), [&](auto& part) {
                        const LayerParameter* reader = only_reader(deploy, part);
                        return reader->top_size() == 1 && reader->top(0) == selection.selected;
                      });
  return is_one ? selection : Selection();
}

void take_out(const Selection& selection, NetParameter* deploy) {
  NetParameter out = *deploy;
  out.clear_layer();
  for (LayerParameter layer : deploy->layer()) {
    if (selection.layers.count(layer.name()) > 0) continue;
    for (std::string& bottom : *layer.mutable_bottom())
      if (bottom == selection.selected) bottom = selection.input;
    for (std::string& top : *layer.mutable_top())
      if (top == selection.selected) top = selection.input;  // in place
    if (layer.type() == "Input" && layer.top(0) == selection.input) {
      BlobShape* shape = layer.mutable_input_param()->mutable_shape(0);
      const auto batch = shape->dim(0);
      shape->clear_dim();
      shape->add_dim(batch);
      shape->add_dim(static_cast<int>(selection.kept.size()));
    }
    *out.add_layer() = layer;
  }
  *deploy = out;
}

/// The net's shapes; nothing, and why, where it cannot be made.
std::unique_ptr<Net> try_net(const NetParameter& deploy, std::string* why_not) {
  const DeviceScope scope;
  NetOptions options;
  options.fills_parameters = false;
  try {
    return std::make_unique<Net>(deploy, options);
  } catch (const Error& error) {
    *why_not = error.what();
    return nullptr;
  }
}

/// The first layer whose parameters have other shapes; null for none.
const Layer* first_unlike(const Net& a, const Net& b) {
  for (std::size_t l = 0; l < a.layers().size(); ++l) {
    const auto& blobs = a.layers()[l]->blobs();
    const auto& others = b.layers()[l]->blobs();
    const auto have_one_shape = [](const auto& x, const auto& y) {
      return x->shape() == y->shape();
    };
    if (!std::equal(blobs.begin(), blobs.end(), others.begin(), others.end(), have_one_shape))
      return a.layers()[l].get();
  }
  return nullptr;
}

}  // namespace

NetParameter deploy_of_one(const NetParameter& net,
                           const std::map<std::string, std::vector<int>>& input_shapes) {
  NetParameter deploy = deploy_net(net, input_shapes);
  for (LayerParameter& layer : *deploy.mutable_layer()) {
    if (layer.type() != "Input") continue;
    for (BlobShape& shape : *layer.mutable_input_param()->mutable_shape())
      if (shape.dim_size() > 0) shape.set_dim(0, 1);
  }
  return deploy;
}

std::string why_not_of_one(const NetParameter& net,
                           const std::map<std::string, std::vector<int>>& input_shapes) {
  std::string why_not;
  const auto of_one = try_net(deploy_of_one(net, input_shapes), &why_not);
  std::string why_not_stated;
  const auto stated = try_net(deploy_net(net, input_shapes), &why_not_stated);
  if (stated == nullptr) return "";
  if (of_one == nullptr) return "at batch 1 " + why_not;
  const Layer* unlike = first_unlike(*of_one, *stated);
  if (unlike == nullptr) return "";
  return "at batch 1 " + title(unlike->parameter()) + " would have weights of another shape";
}

std::vector<int> shorten_input(const NetParameter& original, NetParameter* deploy) {
  std::set<std::string> originals;
  for (const LayerParameter& layer : original.layer()) originals.insert(layer.name());
  for (const LayerParameter& layer : deploy->layer()) {
    if (layer.type() != "Input") continue;
    const Selection selection = find_selection(*deploy, originals, layer);
    if (selection.kept.empty()) continue;
    take_out(selection, deploy);
    return selection.kept;
  }
  return {};
}

}  // namespace vibnet
