#include "net/deploy.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

namespace vibnet {
namespace {

using Names = std::set<std::string>;

template <typename Blobs>
bool any_in(const Blobs& blobs, const Names& names) {
  return std::any_of(blobs.begin(), blobs.end(),
                     [&](const std::string& blob) { return names.count(blob) > 0; });
}

/// A layer whose tops come from outside the net.
bool is_source(const LayerParameter& layer) {
  return layer.bottom_size() == 0 && layer.type() != "Parameter";
}

bool has_weights(const LayerParameter& layer) {
  constexpr std::string_view kTypes[] = {"BatchNorm",
                                         "Bias",
                                         "Convolution",
                                         "Deconvolution",
                                         "DepthwiseConvolution",
                                         "Embed",
                                         "HardConcrete",
                                         "InformationBottleneck",
                                         "InnerProduct",
                                         "LSTM",
                                         "PReLU",
                                         "Parameter",
                                         "RNN",
                                         "Scale"};
  return std::count(std::begin(kTypes), std::end(kTypes), layer.type()) > 0;
}

/// How many of a head's bottoms, from the first on, may be a score; the others are labels.
int count_open_bottoms(const LayerParameter& head) {
  if (head.type() == "Silence") return 0;
  const std::string& type = head.type();
  const bool is_symmetric =
      type == "EuclideanLoss" || type == "ContrastiveLoss" || type == "HDF5Output";
  return std::min(is_symmetric ? 2 : 1, head.bottom_size());
}

/// Where several bottoms may be a score, it is those that weights lead to, else those that layers
/// make from the data, else the first.
Names scores_of(const LayerParameter& head, const Names& learned, const Names& made) {
  const auto begin = head.bottom().begin();
  const int open = count_open_bottoms(head);
  for (const Names* names : {&learned, &made}) {
    Names scores;
    std::copy_if(begin, begin + open, std::inserter(scores, scores.end()),
                 [&](const std::string& bottom) { return names->count(bottom) > 0; });
    if (!scores.empty()) return scores;
  }
  return Names(begin, begin + std::min(open, 1));
}

/// Of each head the bottoms that the net is for, not labels; nothing for other layers.
std::vector<Names> find_scores(const NetParameter& net) {
  std::vector<Names> scores;
  Names learned;
  Names made;
  for (const LayerParameter& layer : net.layer()) {
    scores.push_back(is_head(layer) ? scores_of(layer, learned, made) : Names());
    if (is_source(layer)) continue;
    made.insert(layer.top().begin(), layer.top().end());
    if (has_weights(layer) || any_in(layer.bottom(), learned))
      learned.insert(layer.top().begin(), layer.top().end());
  }
  return scores;
}

bool becomes_softmax(const LayerParameter& layer) { return layer.type() == "SoftmaxWithLoss"; }

/// What goes whatever reads it: the heads, and all that is made from a loss.
std::vector<bool> find_dropped(const NetParameter& net) {
  std::vector<bool> dropped;
  Names of_losses;
  for (const LayerParameter& layer : net.layer()) {
    dropped.push_back(is_head(layer) || any_in(layer.bottom(), of_losses));
    const int tops = becomes_softmax(layer) ? std::min(layer.top_size(), 1) : layer.top_size();
    if (dropped.back()) of_losses.insert(layer.top().begin(), layer.top().begin() + tops);
  }
  return dropped;
}

/// The blobs that lead to a score or to an output.
Names find_needed(const NetParameter& net, const std::vector<bool>& dropped) {
  const std::vector<Names> scores = find_scores(net);
  Names needed;
  Names read;
  for (int i = net.layer_size() - 1; i >= 0; --i) {
    const LayerParameter& layer = net.layer(i);
    if (!dropped[i]) {
      for (const std::string& top : layer.top())
        if (layer.bottom_size() > 0 && read.count(top) == 0) needed.insert(top);
      if (any_in(layer.top(), needed)) needed.insert(layer.bottom().begin(), layer.bottom().end());
    } else {
      needed.insert(scores[i].begin(), scores[i].end());
    }
    read.insert(layer.bottom().begin(), layer.bottom().end());
  }
  return needed;
}

void add_input(const LayerParameter& source, const Names& needed,
               const std::map<std::string, std::vector<int>>& shapes, NetParameter* out) {
  LayerParameter input;
  input.set_name(source.name());
  input.set_type("Input");
  for (int i = 0; i < source.top_size(); ++i) {
    if (needed.count(source.top(i)) == 0) continue;
    input.add_top(source.top(i));
    BlobShape* shape = input.mutable_input_param()->add_shape();
    const auto given = shapes.find(source.top(i));
    if (given == shapes.end())
      *shape = stated_shape(source, i);
    else
      shape->mutable_dim()->Add(given->second.begin(), given->second.end());
  }
  if (input.top_size() > 0) *out->add_layer() = input;
}

bool has_layer(const NetParameter& net, const std::string& name) {
  return std::any_of(net.layer().begin(), net.layer().end(),
                     [&](const LayerParameter& layer) { return layer.name() == name; });
}

void add_softmax(const LayerParameter& loss, NetParameter* out) {
  LayerParameter softmax;
  softmax.set_name(has_layer(*out, "prob") ? loss.name() + "_prob" : "prob");
  softmax.set_type("Softmax");
  softmax.add_bottom(loss.bottom(0));
  softmax.add_top(loss.top_size() > 1 ? loss.top(1) : softmax.name());
  if (loss.has_softmax_param()) *softmax.mutable_softmax_param() = loss.softmax_param();
  *out->add_layer() = softmax;
}

/// A Silence for those of its bottoms that are still made.
void add_silence(const LayerParameter& silence, const Names& made, NetParameter* out) {
  LayerParameter layer = silence;
  layer.clear_bottom();
  for (const std::string& bottom : silence.bottom())
    if (made.count(bottom) > 0) layer.add_bottom(bottom);
  if (layer.bottom_size() > 0) *out->add_layer() = layer;
}

Names all_bottoms(const NetParameter& net) {
  Names bottoms;
  for (const LayerParameter& layer : net.layer())
    bottoms.insert(layer.bottom().begin(), layer.bottom().end());
  return bottoms;
}

/// A part of a Slice that only what was dropped reads must not become an output.
void silence_unread(const NetParameter& net, NetParameter* out) {
  const Names read = all_bottoms(*out);
  Names wanted;
  for (const Names& scores : find_scores(net)) wanted.insert(scores.begin(), scores.end());
  const Names were_read = all_bottoms(net);
  LayerParameter silence;
  for (const LayerParameter& layer : out->layer())
    for (const std::string& top : layer.top())
      if (layer.bottom_size() > 0 && were_read.count(top) > 0 && read.count(top) == 0 &&
          wanted.count(top) == 0)
        silence.add_bottom(top);
  if (silence.bottom_size() == 0) return;
  silence.set_name("unread");
  for (int n = 2; has_layer(*out, silence.name()); ++n)
    silence.set_name("unread" + std::to_string(n));
  silence.set_type("Silence");
  *out->add_layer() = silence;
}

}  // namespace

BlobShape stated_shape(const LayerParameter& source, int top) {
  const auto& shapes = source.input_param().shape();
  if (source.type() != "Input" || shapes.empty()) return {};
  return shapes.Get(top < shapes.size() ? top : 0);
}

bool is_loss(const LayerParameter& layer) {
  constexpr std::string_view kLoss = "Loss";
  const std::string_view type = layer.type();
  return type.size() > kLoss.size() && type.substr(type.size() - kLoss.size()) == kLoss;
}

bool is_head(const LayerParameter& layer) {
  return is_loss(layer) || layer.type() == "Accuracy" || layer.type() == "Silence" ||
         layer.type() == "HDF5Output";
}

std::vector<std::string> deployed_inputs(const NetParameter& net) {
  const Names needed = find_needed(net, find_dropped(net));
  std::vector<std::string> inputs;
  for (const LayerParameter& layer : net.layer())
    if (is_source(layer))
      std::copy_if(layer.top().begin(), layer.top().end(), std::back_inserter(inputs),
                   [&](const std::string& top) { return needed.count(top) > 0; });
  return inputs;
}

NetParameter deploy_net(const NetParameter& net,
                        const std::map<std::string, std::vector<int>>& input_shapes) {
  const std::vector<bool> dropped = find_dropped(net);
  const Names needed = find_needed(net, dropped);
  NetParameter out;
  out.set_name(net.name());
  Names made;
  Names with_softmax;  // scores that have one
  for (int i = 0; i < net.layer_size(); ++i)
    if (net.layer(i).type() == "Softmax" && !dropped[i] && any_in(net.layer(i).top(), needed))
      with_softmax.insert(net.layer(i).bottom(0));
  for (int i = 0; i < net.layer_size(); ++i) {
    LayerParameter layer = net.layer(i);
    layer.clear_blobs();
    layer.clear_loss_weight();
    layer.clear_include();
    layer.clear_exclude();
    if (is_source(layer)) {
      add_input(layer, needed, input_shapes, &out);
    } else if (becomes_softmax(layer)) {
      if (with_softmax.insert(layer.bottom(0)).second) add_softmax(layer, &out);
    } else if (layer.type() == "Silence") {
      add_silence(layer, made, &out);
    } else if (!dropped[i] && any_in(layer.top(), needed)) {
      *out.add_layer() = layer;
    }
    if (out.layer_size() == 0) continue;
    const LayerParameter& last = out.layer(out.layer_size() - 1);
    made.insert(last.top().begin(), last.top().end());
  }
  silence_unread(net, &out);
  return out;
}

}  // namespace vibnet
