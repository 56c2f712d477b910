#include "compress/graph.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "net/deploy.h"
#include "net/filter.h"
#include "net/layer_set_up.h"
#include "vibnet/error.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

using Kind = GraphLayer::Kind;

Blobs pointers(std::vector<Blob>* blobs) {
  Blobs all;
  for (Blob& blob : *blobs) all.push_back(&blob);
  return all;
}

/// Values in floats and the shape of today, whatever the age of the file.
void modernize(const LayerParameter& layer, const Blob& expected, BlobProto* blob) {
  if (blob->data_size() == 0 && blob->double_data_size() > 0) {
    blob->mutable_data()->Add(blob->double_data().begin(), blob->double_data().end());
    blob->clear_double_data();
  }
  if (blob->data_size() != expected.count() || !expected.fits(*blob))
    fail(title(layer), ": a stored blob is ", to_string(shape_of(*blob)), " and holds ",
         blob->data_size(), " value(s), and ", to_string(expected.shape()), " is needed");
  for (const auto clear :
       {&BlobProto::clear_num, &BlobProto::clear_channels, &BlobProto::clear_height,
        &BlobProto::clear_width, &BlobProto::clear_shape})
    (blob->*clear)();
  *blob->mutable_shape() = shape_only(expected.shape()).shape();
}

/// The parameters that a layer has in common with others: which of its blobs, under which name.
std::map<int, std::string> shared_blobs(const LayerParameter& layer,
                                        const std::map<std::string, std::set<std::string>>& users) {
  std::map<int, std::string> shared;
  for (int b = 0; b < layer.param_size(); ++b) {
    const std::string& name = layer.param(b).name();
    if (!name.empty() && users.at(name).size() > 1) shared[b] = name;
  }
  return shared;
}

bool is_view(const GraphLayer& layer) {
  const std::string& type = layer.parameter.type();
  return is_bypassed(layer) || type == "Flatten" || type == "Reshape" || type == "Split" ||
         (type == "Concat" && layer.bottoms.size() == 1) ||
         (type == "Slice" && layer.tops.size() == 1);
}

/// What stands for the layer in the phases that leave it out.
LayerParameter bypass_of(const LayerParameter& layer) {
  LayerParameter split;
  split.set_name(layer.name() + "_left_out");
  split.set_type("Split");
  split.add_bottom(layer.bottom(0));
  split.add_top(layer.top(0));
  *split.mutable_exclude() = layer.include();
  *split.mutable_include() = layer.exclude();
  return split;
}

}  // namespace

bool is_bypassed(const GraphLayer& layer) {
  const LayerParameter& parameter = layer.parameter;
  return layer.kind == Kind::INNER && !layer.is_double &&
         !(layer.is_in_test && layer.is_in_train) && parameter.bottom_size() > 0 &&
         parameter.top_size() > 0 && parameter.bottom(0) == parameter.top(0);
}

bool has_loss_weight(const LayerParameter& layer) {
  return std::any_of(layer.loss_weight().begin(), layer.loss_weight().end(),
                     [](float weight) { return weight != 0; });
}

BlobProto shape_only(const Shape& shape) {
  BlobProto blob;
  for (const int dimension : shape) blob.mutable_shape()->add_dim(dimension);
  return blob;
}

bool has_values(const GraphLayer& layer) {
  return std::all_of(layer.blobs.begin(), layer.blobs.end(),
                     [](const BlobProto& blob) { return blob.data_size() > 0; });
}

LayerParameter with_blobs(const GraphLayer& layer) {
  LayerParameter whole = layer.parameter;
  for (const BlobProto& blob : layer.blobs) *whole.add_blobs() = blob;
  return whole;
}

Graph::Graph(const NetParameter& model, NetParameter weights,
             const std::map<std::string, std::vector<int>>& input_shapes, Missing missing)
    : Graph() {
  header = model;
  header.clear_layer();
  std::map<std::string, LayerParameter*> stored;
  for (LayerParameter& layer : *weights.mutable_layer()) stored[layer.name()] = &layer;
  std::map<std::string, int> latest;
  const NetState test = state_in(model, TEST);
  const NetState train = state_in(model, TRAIN);
  for (const LayerParameter& parameter : model.layer()) {
    append(parameter, &latest);
    GraphLayer& layer = layers.back();
    layer.parameter.clear_blobs();
    layer.is_in_test = is_included(parameter, test);
    layer.is_in_train = is_included(parameter, train);
    if (layer.kind == Kind::SOURCE) read_source(&layer, input_shapes);
    if (layer.kind != Kind::INNER) continue;
    shape_layer(&layer);
    take_weights(&layer, &stored, missing);
  }
  connect();
}

/// Connects a layer to the blobs that its names stand for at this place of the file.
void Graph::append(const LayerParameter& parameter, std::map<std::string, int>* latest) {
  GraphLayer layer;
  layer.parameter = parameter;
  for (const std::string& bottom : parameter.bottom()) {
    const auto found = latest->find(bottom);
    if (found == latest->end())
      fail(title(parameter), " reads '", bottom, "', which no layer before it makes");
    layer.bottoms.push_back(found->second);
  }
  const bool reads_head = std::any_of(layer.bottoms.begin(), layer.bottoms.end(),
                                      [this](int blob) { return !blobs[blob].has_shape; });
  if (parameter.bottom_size() == 0 && parameter.type() != "Parameter")
    layer.kind = Kind::SOURCE;
  else if (is_head(parameter) || (reads_head && parameter.bottom_size() > 0))
    layer.kind = Kind::HEAD;
  for (int t = 0; t < parameter.top_size(); ++t) {
    const std::string& top = parameter.top(t);
    const bool in_place = t < parameter.bottom_size() && parameter.bottom(t) == top;
    const auto found = latest->find(top);
    if (found != latest->end() && !in_place) {
      layer.is_double = true;
      layer.tops.push_back(found->second);
      blobs[found->second].is_pinned = layer.kind == Kind::INNER;
    } else {
      layer.tops.push_back(add_blob(top));
    }
    (*latest)[top] = layer.tops.back();
  }
  layers.push_back(std::move(layer));
}

void Graph::read_source(GraphLayer* layer,
                        const std::map<std::string, std::vector<int>>& input_shapes) {
  const bool is_stated = layer->parameter.input_param().shape_size() > 0;
  for (std::size_t t = 0; t < layer->tops.size(); ++t) {
    GraphBlob& blob = blobs[layer->tops[t]];
    const auto given = input_shapes.find(blob.name);
    if (given != input_shapes.end())
      blob.shape = given->second;
    else if (is_stated)
      blob.shape = shape_of(stated_shape(layer->parameter, static_cast<int>(t)));
    blob.has_shape = blob.has_shape || given != input_shapes.end() || is_stated;
  }
}

/// Makes the layer, and asks it for the shapes of its tops and its rule.
void Graph::shape_layer(GraphLayer* layer) {
  LayerParameter parameter = layer->parameter;
  parameter.set_phase(TEST);
  std::vector<Blob> bottoms(layer->bottoms.size());
  for (std::size_t b = 0; b < bottoms.size(); ++b)
    bottoms[b].reshape(blobs[layer->bottoms[b]].shape);
  layer->layer = make_layer(parameter, *context_);
  Layer& made = *layer->layer;
  std::vector<Blob> tops(top_count(made, static_cast<int>(layer->tops.size())));
  check_count(parameter, static_cast<int>(bottoms.size()), made.bottom_count(), "bottom");
  check_count(parameter, static_cast<int>(tops.size()), made.top_count(), "top");
  set_up_layer(pointers(&bottoms), pointers(&tops), &made);
  layer->rule = made.channel_rule(pointers(&bottoms), pointers(&tops));
  const bool is_total = layer->rule.role == ChannelRule::Role::TOTAL;
  bool has_channels = !bottoms.empty();
  for (const Blob& blob : bottoms) has_channels = has_channels && blob.axes() > 1;
  for (std::size_t t = 0; t < layer->tops.size(); ++t) {
    GraphBlob& top = blobs[layer->tops[t]];
    if (layer->is_double && top.has_shape && top.shape != tops[t].shape())
      fail(title(layer->parameter), " makes '", top.name, "' of ", to_string(tops[t].shape()),
           ", and another phase of ", to_string(top.shape));
    top.shape = tops[t].shape();
    top.has_shape = true;
    has_channels = has_channels && (tops[t].axes() > 1 || is_total);
  }
  const bool is_whole_loss = has_loss_weight(layer->parameter) && !is_total;
  if (!has_channels || is_whole_loss) layer->rule = ChannelRule::wall();
}

void Graph::take_weights(GraphLayer* layer, std::map<std::string, LayerParameter*>* stored,
                         Missing missing) {
  const auto& expected = layer->layer->blobs();
  if (expected.empty()) return;
  const LayerParameter& parameter = layer->parameter;
  const auto found = stored->find(parameter.name());
  const int count = found == stored->end() ? 0 : found->second->blobs_size();
  if (count == 0 && std::any_of(layers.begin(), layers.end() - 1, [&](const GraphLayer& other) {
        return other.parameter.name() == parameter.name();
      }))
    fail(title(parameter), " stands in the prototxt more than once; give the layers different ",
         "names, or one for all phases");
  const bool may_lack = missing == Missing::KEEP || !layer->is_in_test;
  if (count == 0 && may_lack) {
    for (const auto& blob : expected) layer->blobs.push_back(shape_only(blob->shape()));
    return;
  }
  if (count != static_cast<int>(expected.size()))
    fail(title(parameter), ": the weights hold ", count, " blob(s) for it, and ", expected.size(),
         " are needed");
  layer->blobs.resize(count);
  for (int b = 0; b < count; ++b) {
    layer->blobs[b].Swap(found->second->mutable_blobs(b));
    modernize(parameter, *expected[b], &layer->blobs[b]);
  }
  found->second->clear_blobs();
}

/// What hangs on the layers around each, once all have their shapes.
void Graph::connect() {
  find_uses();
  wall_off_makers_of_one();
  find_twins();
}

/// Of two layers that make one blob, in different phases, each makes it as the other does: whole.
void Graph::wall_off_makers_of_one() {
  for (GraphLayer& layer : layers)
    if (layer.kind == Kind::INNER && std::any_of(layer.tops.begin(), layer.tops.end(),
                                                 [this](int top) { return blobs[top].is_pinned; }))
      layer.rule = ChannelRule::wall();
}

void Graph::find_twins() {
  std::map<std::string, std::set<std::string>> users;
  for (const GraphLayer& layer : layers)
    for (const ParamSpec& spec : layer.parameter.param())
      if (!spec.name().empty()) users[spec.name()].insert(layer.parameter.name());
  std::map<std::map<int, std::string>, int> numbers;
  std::map<std::string, std::set<int>> sets;  // by a shared parameter's name
  for (GraphLayer& layer : layers) {
    if (layer.kind != Kind::INNER) continue;
    const std::map<int, std::string> shared = shared_blobs(layer.parameter, users);
    if (shared.empty()) continue;
    layer.twins = numbers.emplace(shared, static_cast<int>(numbers.size())).first->second;
    for (const auto& blob : shared) sets[blob.second].insert(layer.twins);
  }
  std::vector<std::size_t> walls;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const GraphLayer& layer = layers[l];
    if (layer.twins < 0) continue;
    const auto shared = shared_blobs(layer.parameter, users);
    // A parameter that is one layer's filters and another's bias, say, is cut for neither.
    const bool is_mixed = std::any_of(shared.begin(), shared.end(), [&](const auto& blob) {
      return sets.at(blob.second).size() > 1;
    });
    const bool is_unlike = std::any_of(layers.begin(), layers.end(), [&](const GraphLayer& other) {
      return other.twins == layer.twins && (other.parameter.type() != layer.parameter.type() ||
                                            other.rule.role != layer.rule.role);
    });
    if (is_mixed || is_unlike) walls.push_back(l);
  }
  for (const std::size_t l : walls) layers[l].rule = ChannelRule::wall();
}

int Graph::add_blob(const std::string& name) {
  blobs.emplace_back();
  blobs.back().name = name;
  return static_cast<int>(blobs.size()) - 1;
}

bool Graph::is_there(const GraphLayer& layer, Phase phase) const {
  if (phase == TEST ? layer.is_in_test : layer.is_in_train) return true;
  if (!is_bypassed(layer)) return false;
  const GraphBlob& bottom = blobs[layer.bottoms[0]];
  return phase == TEST ? bottom.is_in_test : bottom.is_in_train;
}

void Graph::find_uses() {
  for (GraphBlob& blob : blobs) {
    blob.readers = 0;
    blob.is_in_test = blob.is_in_train = blob.is_score = false;
  }
  // What a layer would make in place is, where a phase leaves the layer out, its bottom.
  std::vector<int> in_test(blobs.size());
  std::iota(in_test.begin(), in_test.end(), 0);
  std::vector<bool> is_read(blobs.size(), false);  // in TEST
  for (const GraphLayer& layer : layers) {
    const bool is_score = layer.kind == Kind::HEAD && layer.parameter.type() != "Silence";
    const bool is_in_test = is_there(layer, TEST);
    for (const int bottom : layer.bottoms) {
      ++blobs[bottom].readers;
      if (is_score) blobs[bottom].is_score = true;
      if (layer.is_in_test) is_read[in_test[bottom]] = true;
    }
    for (const int top : layer.tops) {
      if (is_in_test) blobs[top].is_in_test = true;
      if (is_there(layer, TRAIN)) blobs[top].is_in_train = true;
    }
    if (is_in_test && !layer.is_in_test) in_test[layer.tops[0]] = in_test[layer.bottoms[0]];
  }
  std::vector<int> last(blobs.size());  // of those that are one in TEST
  for (std::size_t b = 0; b < blobs.size(); ++b) last[in_test[b]] = static_cast<int>(b);
  for (std::size_t b = 0; b < blobs.size(); ++b) {
    const int one = in_test[b];
    blobs[b].is_output = blobs[b].is_in_test ? !is_read[one] && last[one] == static_cast<int>(b)
                                             : blobs[b].readers == 0;
  }
}

std::vector<std::vector<int>> Graph::find_readers() const {
  std::vector<std::vector<int>> readers(blobs.size());
  for (std::size_t l = 0; l < layers.size(); ++l)
    for (const int bottom : layers[l].bottoms) readers[bottom].push_back(static_cast<int>(l));
  return readers;
}

void Graph::infer() {
  for (GraphLayer& layer : layers)
    if (layer.kind == Kind::INNER) shape_layer(&layer);
  connect();
}

const GraphLayer* Graph::maker_of(int blob) const {
  for (const GraphLayer& layer : layers)
    if (std::count(layer.tops.begin(), layer.tops.end(), blob) > 0) return &layer;
  return nullptr;
}

/// Whether another blob that is read may lie in this one's memory.
bool Graph::shares_memory(int blob) const {
  const GraphLayer* maker = maker_of(blob);
  if (maker == nullptr || !is_view(*maker)) return false;
  const int bottom = maker->bottoms[0];
  return maker->tops.size() > 1 || blobs[bottom].readers > 1 || shares_memory(bottom);
}

/// Whether the layer's top may be its bottom, as far as the bottom's other uses go. The net's input
/// keeps its name.
bool Graph::may_overwrite_bottom(const GraphLayer& layer) const {
  const int bottom = layer.bottoms[0];
  const GraphLayer* maker = maker_of(bottom);
  const bool is_input = maker != nullptr && maker->kind == Kind::SOURCE;
  if (is_input && blobs[bottom].name != blobs[layer.tops[0]].name) return false;
  return blobs[bottom].readers == 1 && !shares_memory(bottom);
}

/// A blob made in place has its bottom's name; then, of blobs that want one name, the net's input
/// has it, or else the last.
std::vector<std::string> Graph::choose_names() const {
  std::vector<int> storage(blobs.size());
  for (std::size_t b = 0; b < blobs.size(); ++b) storage[b] = static_cast<int>(b);
  for (const GraphLayer& layer : layers) {
    if (layer.kind != Kind::INNER || layer.is_double || layer.tops.empty() || layer.bottoms.empty())
      continue;
    const bool was_in_place =
        blobs[layer.bottoms[0]].name == blobs[layer.tops[0]].name && layer.layer->runs_in_place();
    if ((was_in_place || is_bypassed(layer)) && may_overwrite_bottom(layer))
      storage[layer.tops[0]] = storage[layer.bottoms[0]];
  }
  std::map<std::string, int> owner;
  for (std::size_t b = 0; b < blobs.size(); ++b) owner[blobs[b].name] = storage[b];
  for (const GraphLayer& layer : layers)
    for (const int top : layer.tops)
      if (layer.kind == Kind::SOURCE) owner[blobs[top].name] = storage[top];
  std::set<std::string> used;
  std::map<int, std::string> names;
  for (const auto& entry : owner) used.insert(entry.first);
  for (const GraphBlob& blob : blobs) names[owner[blob.name]] = blob.name;
  std::vector<std::string> chosen;
  for (std::size_t b = 0; b < blobs.size(); ++b) {
    std::string& name = names[storage[b]];
    for (int n = 0; name.empty(); ++n) {
      const std::string fresh = blobs[b].name + "_" + std::to_string(n);
      if (used.insert(fresh).second) name = fresh;
    }
    chosen.push_back(name);
  }
  return chosen;
}

/// Whether a phase reads what a layer that it leaves out would make in place, or puts it out.
bool Graph::needs_bypass(const GraphLayer& layer) const {
  const Phase phase = layer.is_in_test ? TRAIN : TEST;
  const int top = layer.tops[0];
  if (phase == TEST && is_output(top)) return true;
  return std::any_of(layers.begin(), layers.end(), [&](const GraphLayer& reader) {
    if (std::count(reader.bottoms.begin(), reader.bottoms.end(), top) == 0) return false;
    return (phase == TEST ? reader.is_in_test : reader.is_in_train) ||
           (is_bypassed(reader) && needs_bypass(reader));
  });
}

NetWithWeights Graph::release() {
  find_uses();
  const std::vector<std::string> names = choose_names();
  NetWithWeights net{header, header};
  for (GraphLayer& layer : layers) {
    LayerParameter* out = net.model.add_layer();
    *out = layer.parameter;
    out->clear_bottom();
    out->clear_top();
    for (const int bottom : layer.bottoms) out->add_bottom(names[bottom]);
    for (const int top : layer.tops) out->add_top(names[top]);
    LayerParameter* with_weights = net.weights.add_layer();
    *with_weights = *out;
    const bool is_stored = has_values(layer);
    for (BlobProto& blob : layer.blobs)
      if (is_stored) with_weights->add_blobs()->Swap(&blob);
    if (!is_bypassed(layer) || out->bottom(0) == out->top(0) || !needs_bypass(layer)) continue;
    *net.model.add_layer() = bypass_of(*out);
    *net.weights.add_layer() = bypass_of(*out);
  }
  return net;
}

}  // namespace vibnet
