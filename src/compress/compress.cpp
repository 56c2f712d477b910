#include "vibnet/compress.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "compress/blob_edit.h"
#include "compress/chain.h"
#include "compress/rewrite.h"
#include "compress/rule.h"
#include "core/bottleneck_rule.h"
#include "net/filter.h"
#include "vibnet/blob.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kBottleneck = "InformationBottleneck";

bool is_bottleneck(const LayerParameter& layer) { return layer.type() == kBottleneck; }

NetParameter test_net(const NetParameter& model, const NetParameter& weights) {
  NetState state = model.state();
  state.set_phase(TEST);
  NetParameter net = filter_net(model, state);
  std::map<std::string, const LayerParameter*> stored;
  for (const LayerParameter& layer : weights.layer()) stored[layer.name()] = &layer;
  for (LayerParameter& layer : *net.mutable_layer()) {
    const auto found = stored.find(layer.name());
    if (found != stored.end()) *layer.mutable_blobs() = found->second->blobs();
  }
  return net;
}

/// How many blobs a layer must bring, for the types whose blobs are edited.
int needed_blobs(const LayerParameter& layer) {
  if (is_bottleneck(layer)) return 2;
  if (layer.type() == "BatchNorm") return 3;
  if (layer.type() == "Convolution") return layer.convolution_param().bias_term() ? 2 : 1;
  if (layer.type() == "InnerProduct") return layer.inner_product_param().bias_term() ? 2 : 1;
  if (layer.type() == "Scale" && layer.bottom_size() == 1)
    return layer.scale_param().bias_term() ? 2 : 1;
  return layer.type() == "PReLU" ? 1 : 0;
}

void check_blobs(const LayerParameter& layer) {
  if (layer.blobs_size() < needed_blobs(layer))
    fail("layer '", layer.name(), "' (", layer.type(), "): the weights hold ", layer.blobs_size(),
         " blob(s) for it, and ", needed_blobs(layer), " are needed");
  for (const BlobProto& blob : layer.blobs()) {
    const Shape shape = shape_of(blob);
    if (blob.data_size() != count(shape, 0, static_cast<int>(shape.size())))
      fail("layer '", layer.name(), "': a stored blob of ", to_string(shape), " holds ",
           blob.data_size(), " values");
  }
}

/// What a producer makes and a consumer takes: the axes of their weights.
bool is_transposed(const LayerParameter& layer) {
  return layer.type() == "InnerProduct" && layer.inner_product_param().transpose();
}
int output_axis(const LayerParameter& layer) { return is_transposed(layer) ? 1 : 0; }
int input_axis(const LayerParameter& layer) { return is_transposed(layer) ? 0 : 1; }
int outputs_of(const LayerParameter& layer) {
  return axis_size(layer.blobs(0), output_axis(layer));
}
int inputs_of(const LayerParameter& layer) { return axis_size(layer.blobs(0), input_axis(layer)); }

bool is_never_negative(const std::vector<float>& factors) {
  return std::all_of(factors.begin(), factors.end(), [](float factor) { return factor >= 0; });
}

void set_outputs(int outputs, LayerParameter* layer) {
  if (layer->type() == "Convolution")
    layer->mutable_convolution_param()->set_num_output(outputs);
  else
    layer->mutable_inner_product_param()->set_num_output(outputs);
}

/// Cuts one net. Works span by span: what the bottlenecks between two mixing layers do not keep
/// goes from the producer's outputs, from the layers between, and from the consumer's inputs.
class Compressor {
 public:
  Compressor(const NetParameter& model, const NetParameter& weights, const CompressOptions& options)
      : model_(model), options_(options), net_(test_net(model, weights)) {}

  CompressedNet run() {
    if (std::none_of(net_.layer().begin(), net_.layer().end(), is_bottleneck))
      fail("the net has no InformationBottleneck layer: nothing says what can be cut");
    for (const LayerParameter& layer : net_.layer()) check_blobs(layer);
    start_report();
    for (const Span& span : find_spans(net_)) compress_span(span);
    finish_report();
    return finish();
  }

 private:
  /// A span's units: channels up to the Flatten, channels x spatial features from there on, and at
  /// the consumer, which flattens by itself if it is an InnerProduct.
  struct Units {
    int channels = 0;
    int spatial = 1;
    Mask kept;           // per channel
    Mask kept_features;  // per feature; all of a channel that goes, go
  };

  LayerParameter& layer(int index) { return *net_.mutable_layer(index); }

  void start_report() {
    for (const LayerParameter& layer : net_.layer()) {
      if (is_bottleneck(layer)) {
        LayerReport entry{layer.name(), layer.type(), axis_size(layer.blobs(0), 0), 0, {}};
        entry.kept = kept_indices(mask_of(layer));
        entry.units_after = static_cast<int>(entry.kept.size());
        report_.layers.push_back(entry);
      } else if (rule_of(layer).role == Role::MIXER) {
        report_.layers.push_back({layer.name(), layer.type(), outputs_of(layer), 0, {}});
      }
    }
  }

  void finish_report() {
    for (LayerReport& entry : report_.layers)
      for (const LayerParameter& layer : net_.layer())
        if (layer.name() == entry.name && entry.type != kBottleneck)
          entry.units_after = outputs_of(layer);
  }

  void note(const LayerParameter& layer, const std::string& what) {
    report_.notes.push_back("layer '" + layer.name() + "' (" + layer.type() + "): " + what);
  }

  Mask mask_of(const LayerParameter& bottleneck) const {
    const auto& mu = bottleneck.blobs(0).data();
    const auto& log_sigma2 = bottleneck.blobs(1).data();
    const float threshold =
        options_.threshold.value_or(bottleneck.information_bottleneck_param().threshold());
    if (mu.size() != log_sigma2.size())
      fail("layer '", bottleneck.name(), "': mu has ", mu.size(), " values, and log sigma^2 ",
           log_sigma2.size());
    Mask mask;
    for (int i = 0; i < mu.size(); ++i)
      mask.push_back(is_kept(mu.Get(i), log_sigma2.Get(i), threshold));
    if (count_kept(mask) == 0) fail_all_cut(bottleneck, threshold);
    return mask;
  }

  [[noreturn]] static void fail_all_cut(const LayerParameter& bottleneck, float threshold) {
    float lowest = std::numeric_limits<float>::infinity();
    for (int i = 0; i < bottleneck.blobs(0).data_size(); ++i)
      lowest = std::min(lowest, bottleneck.blobs(1).data(i) -
                                    2 * std::log(std::fabs(bottleneck.blobs(0).data(i))));
    fail("layer '", bottleneck.name(), "' would lose every unit at threshold ", threshold,
         "; train with a lower gamma for it or a lower kl_weight, or give a --threshold above ",
         lowest);
  }

  /// Whether every layer of inner[from, to) lets what the bottleneck does pass: a zero stays zero.
  bool zero_passes(const Span& span, std::size_t from) {
    if (span.consumer == Span::kNone) return false;
    for (std::size_t i = from; i < span.inner.size(); ++i)
      if (!rule_of(layer(span.inner[i])).keeps_zero) return false;
    return true;
  }

  bool commutes(const LayerParameter& layer, bool all_positive) {
    const Homogeneous homogeneous = rule_of(layer).homogeneous;
    return homogeneous == Homogeneous::ALWAYS ||
           (homogeneous == Homogeneous::FOR_POSITIVE && all_positive);
  }

  bool has_flatten(const Span& span) const { return span.flatten_at < span.inner.size(); }
  /// The last bottleneck of the span, as an index of span.inner.
  std::size_t last_bottleneck(const Span& span) {
    std::size_t last = 0;
    for (std::size_t i = 0; i < span.inner.size(); ++i)
      if (is_bottleneck(layer(span.inner[i]))) last = i;
    return last;
  }

  void compress_span(const Span& span);
  Units find_units(const Span& span);
  bool can_cut(const Span& span);
  void mark_kept(const Span& span, Units* units);
  void fold(const Span& span, std::size_t at, int spatial);
  bool fold_forward(const Span& span, std::size_t at, const std::vector<float>& factors,
                    int spatial);
  bool fold_backward(const Span& span, std::size_t at, const std::vector<float>& factors);
  void become_scale(const std::vector<float>& factors, LayerParameter* bottleneck);
  void cut(const Span& span, const Units& units, std::size_t selected_at);
  CompressedNet finish();

  const NetParameter& model_;
  const CompressOptions& options_;
  NetParameter net_;
  Rewrite rewrite_;
  CompressReport report_;
};

void Compressor::compress_span(const Span& span) {
  const bool has_bottleneck = std::any_of(span.inner.begin(), span.inner.end(),
                                          [&](int i) { return is_bottleneck(layer(i)); });
  if (!has_bottleneck) return;
  Units units = find_units(span);
  const bool cuts = can_cut(span);
  if (cuts) mark_kept(span, &units);
  const std::size_t selected_at = last_bottleneck(span);
  for (std::size_t i = 0; i < span.inner.size(); ++i)
    if (is_bottleneck(layer(span.inner[i]))) fold(span, i, units.spatial);
  if (cuts) cut(span, units, selected_at);
}

/// Sizes come from the weights that know them: the producer's, the consumer's, the bottlenecks'.
Compressor::Units Compressor::find_units(const Span& span) {
  Units units;
  for (std::size_t i = 0; i < span.inner.size(); ++i)
    if (i < span.flatten_at && is_bottleneck(layer(span.inner[i])))
      units.channels = axis_size(layer(span.inner[i]).blobs(0), 0);
  if (span.producer != Span::kNone) units.channels = outputs_of(layer(span.producer));
  const int features = span.consumer != Span::kNone
                           ? inputs_of(layer(span.consumer))
                           : axis_size(layer(span.inner[last_bottleneck(span)]).blobs(0), 0);
  if (units.channels == 0) units.channels = features;  // of the net's input, each by itself
  if (features % units.channels != 0)
    fail("layer '", layer(span.inner[last_bottleneck(span)]).name(), "': ", features,
         " features do not fit the ", units.channels, " channels that they come from");
  units.spatial = features / units.channels;
  units.kept.assign(units.channels, true);
  units.kept_features.assign(features, true);
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    const LayerParameter& bottleneck = layer(span.inner[i]);
    if (!is_bottleneck(bottleneck)) continue;
    const int expected = i < span.flatten_at ? units.channels : features;
    if (axis_size(bottleneck.blobs(0), 0) != expected)
      fail("layer '", bottleneck.name(), "' has ", axis_size(bottleneck.blobs(0), 0),
           " units, and ", expected, " reach it");
  }
  return units;
}

/// Units can go where both ends can shrink: a producer's outputs, or the net's own input if nothing
/// but a Flatten stands before the bottleneck; and a consumer's inputs.
bool Compressor::can_cut(const Span& span) {
  if (span.consumer == Span::kNone) return false;
  if (span.producer != Span::kNone) return true;
  if (!span.is_input || layer(span.consumer).type() != "InnerProduct") return false;
  return std::all_of(span.inner.begin(), span.inner.begin() + last_bottleneck(span), [&](int i) {
    return layer(i).type() == "Flatten" || is_bottleneck(layer(i));
  });
}

/// Takes what the bottlenecks drop out of the masks, where a zero reaches the consumer as a zero.
void Compressor::mark_kept(const Span& span, Units* units) {
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    const LayerParameter& bottleneck = layer(span.inner[i]);
    if (!is_bottleneck(bottleneck)) continue;
    if (!zero_passes(span, i + 1)) {
      note(bottleneck, "a layer after it turns zeros into other values; its units stay");
      continue;
    }
    const Mask mask =
        i < span.flatten_at ? repeated(mask_of(bottleneck), units->spatial) : mask_of(bottleneck);
    for (std::size_t f = 0; f < mask.size(); ++f)
      units->kept_features[f] = units->kept_features[f] && mask[f];
  }
  for (int c = 0; c < units->channels; ++c) {
    const auto first = units->kept_features.begin() + c * units->spatial;
    units->kept[c] = std::any_of(first, first + units->spatial, [](bool kept) { return kept; });
  }
  if (count_kept(units->kept) == 0)
    fail("layer '", layer(span.inner[last_bottleneck(span)]).name(),
         "' and the bottlenecks before ",
         "it would cut every unit together; train with a lower gamma or kl_weight");
}

/// Puts mu, and 0 for what is dropped, into the weights after or before the bottleneck, and takes
/// the bottleneck out; where neither is exact it becomes a Scale layer.
void Compressor::fold(const Span& span, std::size_t at, int spatial) {
  LayerParameter& bottleneck = layer(span.inner[at]);
  const Mask mask = mask_of(bottleneck);
  std::vector<float> factors;
  for (std::size_t i = 0; i < mask.size(); ++i)
    factors.push_back(mask[i] ? bottleneck.blobs(0).data(static_cast<int>(i)) : 0);
  if (fold_forward(span, at, factors, at < span.flatten_at ? spatial : 1) ||
      fold_backward(span, at, factors)) {
    rewrite_.remove(bottleneck.name());
    return;
  }
  note(bottleneck, "mu cannot be folded into the layers around it; it becomes a Scale layer");
  become_scale(factors, &bottleneck);
}

bool Compressor::fold_forward(const Span& span, std::size_t at, const std::vector<float>& factors,
                              int spatial) {
  if (span.consumer == Span::kNone) return false;
  const bool positive = is_never_negative(factors);
  for (std::size_t i = at + 1; i < span.inner.size(); ++i)
    if (!commutes(layer(span.inner[i]), positive)) return false;
  std::vector<float> of_features;
  for (const float factor : factors) of_features.insert(of_features.end(), spatial, factor);
  LayerParameter& consumer = layer(span.consumer);
  scale_along(of_features, input_axis(consumer), consumer.mutable_blobs(0));
  return true;
}

bool Compressor::fold_backward(const Span& span, std::size_t at,
                               const std::vector<float>& factors) {
  const bool positive = is_never_negative(factors);
  for (std::size_t i = at; i-- > 0;) {
    LayerParameter& before = layer(span.inner[i]);
    if (before.type() == "Scale" && before.blobs_size() > 0) {
      for (BlobProto& blob : *before.mutable_blobs()) scale_along(factors, 0, &blob);
      return true;
    }
    // Behind a Flatten a factor is one feature's, before it a channel's.
    if (before.type() == "Flatten" || !commutes(before, positive)) return false;
  }
  if (span.producer == Span::kNone) return false;
  LayerParameter& producer = layer(span.producer);
  scale_along(factors, output_axis(producer), producer.mutable_blobs(0));
  if (producer.blobs_size() > 1) scale_along(factors, 0, producer.mutable_blobs(1));
  return true;
}

void Compressor::become_scale(const std::vector<float>& factors, LayerParameter* bottleneck) {
  bottleneck->set_type("Scale");
  bottleneck->clear_information_bottleneck_param();
  bottleneck->clear_blobs();
  bottleneck->clear_param();
  *bottleneck->add_blobs() = make_blob(factors);
}

/// Cuts producer, inner layers and consumer down to the kept units. Single features of a living
/// channel, and inputs, are selected behind the last bottleneck.
void Compressor::cut(const Span& span, const Units& units, std::size_t selected_at) {
  const bool is_input = span.producer == Span::kNone;
  const Mask all(units.channels, true);
  const Mask& coming = is_input ? all : units.kept;
  const bool by_feature = selected_at >= span.flatten_at;
  const Mask before = by_feature ? repeated(coming, units.spatial) : coming;
  const Mask after = by_feature ? units.kept_features : units.kept;
  if (before != after) {
    Mask selected;
    for (std::size_t i = 0; i < before.size(); ++i)
      if (before[i]) selected.push_back(after[i]);
    rewrite_.select_after(layer(span.inner[selected_at]).name(), selected, is_input);
    if (is_input) report_.kept_inputs = kept_indices(after);
  }
  if (!is_input) {
    LayerParameter& producer = layer(span.producer);
    keep_along(units.kept, output_axis(producer), producer.mutable_blobs(0));
    if (producer.blobs_size() > 1) keep_along(units.kept, 0, producer.mutable_blobs(1));
    set_outputs(count_kept(units.kept), &producer);
  }
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    LayerParameter& inner = layer(span.inner[i]);
    if (is_bottleneck(inner)) continue;  // folded, and on its way out
    const Mask channels = i > selected_at ? units.kept : coming;
    const Mask features = i > selected_at ? units.kept_features : repeated(coming, units.spatial);
    for (int b = 0; b < per_channel_blobs(inner); ++b)
      keep_along(i < span.flatten_at ? channels : features, 0, inner.mutable_blobs(b));
  }
  LayerParameter& consumer = layer(span.consumer);
  keep_along(units.kept_features, input_axis(consumer), consumer.mutable_blobs(0));
}

CompressedNet Compressor::finish() {
  CompressedNet result;
  result.model = rewrite_.apply(model_, net_);
  result.weights = rewrite_.apply(net_, net_);
  result.deploy = rewrite_.deploy(result.weights, options_.input_shape, report_.kept_inputs);
  for (LayerParameter& layer : *result.model.mutable_layer()) layer.clear_blobs();
  result.report = std::move(report_);
  return result;
}

}  // namespace

CompressedNet compress(const NetParameter& model, const NetParameter& weights,
                       const CompressOptions& options) {
  return Compressor(model, weights, options).run();
}

NetParameter make_deploy(const NetParameter& model, const std::vector<int>& input_shape) {
  return Rewrite().deploy(test_net(model, {}), input_shape, {});
}

}  // namespace vibnet
