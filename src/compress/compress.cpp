#include "vibnet/compress.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "compress/blob_edit.h"
#include "compress/chain.h"
#include "compress/mixer.h"
#include "compress/rewrite.h"
#include "compress/rule.h"
#include "compress/stored_weights.h"
#include "core/gate_rule.h"
#include "vibnet/blob.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

constexpr const char* kBottleneck = "InformationBottleneck";

bool is_bottleneck(const LayerParameter& layer) { return layer.type() == kBottleneck; }

/// Names of the layers of which a parameter is another layer's too.
std::set<std::string> find_sharing(const NetParameter& net) {
  std::map<std::string, std::set<std::string>> users;
  for (const LayerParameter& layer : net.layer())
    for (const ParamSpec& spec : layer.param())
      if (!spec.name().empty()) users[spec.name()].insert(layer.name());
  std::set<std::string> sharing;
  for (const auto& entry : users)
    if (entry.second.size() > 1) sharing.insert(entry.second.begin(), entry.second.end());
  return sharing;
}

/// What TEST does not have would keep its old size.
void check_other_phases(const NetParameter& model, const NetParameter& test) {
  std::map<std::string, int> times;
  for (const LayerParameter& layer : model.layer())
    if (needed_blobs(layer) > 0 && ++times[layer.name()] > 1)
      fail("layer '", layer.name(),
           "' stands in the prototxt more than once; give the layers "
           "different names, or one for all phases");
  for (const LayerParameter& layer : test.layer()) times.erase(layer.name());
  for (const LayerParameter& layer : model.layer())
    if (times.count(layer.name()) > 0)
      fail("layer '", layer.name(), "' (", layer.type(),
           ") is not in the TEST phase: nothing says how large it must become");
}

bool is_never_negative(const std::vector<float>& factors) {
  return std::all_of(factors.begin(), factors.end(), [](float factor) { return factor >= 0; });
}

/// Cuts one net. Works span by span: what the bottlenecks between two mixing layers do not keep
/// goes from the producer's outputs, from the layers between, and from the consumer's inputs.
class Compressor {
 public:
  Compressor(const NetParameter& model, const NetParameter& weights, const CompressOptions& options)
      : model_(model),
        options_(options),
        net_(with_weights(test_phase(model), weights)),
        sharing_(find_sharing(net_)) {}

  CompressedNet run() {
    if (std::none_of(net_.layer().begin(), net_.layer().end(), is_bottleneck))
      fail("the net has no InformationBottleneck layer: nothing says what can be cut");
    check_other_phases(model_, net_);
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

  const LayerParameter& layer(int index) const { return net_.layer(index); }

  /// The layer, to change its weights.
  LayerParameter& edit(int index) {
    LayerParameter& layer = *net_.mutable_layer(index);
    if (sharing_.count(layer.name()) > 0)
      fail("layer '", layer.name(), "' (", layer.type(),
           ") shares a parameter with another layer, ", "and so cannot be made smaller");
    return layer;
  }

  void start_report() {
    for (const LayerParameter& layer : net_.layer()) {
      if (is_bottleneck(layer)) {
        const int units = axis_size(layer.blobs(0), 0);
        report_.layers.push_back(
            {layer.name(), layer.type(), units, units, kept_indices(mask_of(layer))});
      } else if (rule_of(layer).role == Role::MIXER) {
        report_.layers.push_back({layer.name(), layer.type(), outputs_of(layer), 0, {}});
      }
    }
  }

  /// `units`: those that stay in the net.
  void report_kept(const LayerParameter& bottleneck, const Mask& units) {
    Mask kept = mask_of(bottleneck);
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = kept[i] && units[i];
    for (LayerReport& entry : report_.layers)
      if (entry.name == bottleneck.name()) {
        entry.kept = kept_indices(kept);
        entry.units_after = count_kept(units);
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

  void note_stay(const LayerParameter& bottleneck, const std::string& why) {
    if (!is_whole(mask_of(bottleneck)))
      note(bottleneck, "the units that it drops stay, as zeros: " + why);
  }

  Mask mask_of(const LayerParameter& bottleneck) const {
    const auto& mu = bottleneck.blobs(0).data();
    const auto& log_sigma2 = bottleneck.blobs(1).data();
    const float threshold =
        options_.threshold.value_or(bottleneck.information_bottleneck_param().threshold());
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
    const std::string advice =
        std::isfinite(lowest)
            ? "; or give --threshold above " + std::to_string(std::ceil(lowest * 1e3) / 1e3)
            : "";
    fail("layer '", bottleneck.name(), "' would lose every unit at threshold ", threshold,
         "; train with a lower gamma for it or a lower kl_weight", advice);
  }

  /// The first layer of inner[from, end) that makes something else of a zero, if there is one.
  const LayerParameter* find_shift(const Span& span, std::size_t from) const {
    for (std::size_t i = from; i < span.inner.size(); ++i)
      if (!rule_of(layer(span.inner[i])).keeps_zero) return &layer(span.inner[i]);
    return nullptr;
  }

  static bool commutes(const LayerParameter& layer, bool all_positive) {
    const Homogeneous homogeneous = rule_of(layer).homogeneous;
    return homogeneous == Homogeneous::ALWAYS ||
           (homogeneous == Homogeneous::FOR_POSITIVE && all_positive);
  }

  /// The last bottleneck of the span, as an index of span.inner.
  std::size_t last_bottleneck(const Span& span) const {
    std::size_t last = 0;
    for (std::size_t i = 0; i < span.inner.size(); ++i)
      if (is_bottleneck(layer(span.inner[i]))) last = i;
    return last;
  }

  void compress_span(const Span& span);
  Units find_units(const Span& span) const;
  void check_units(const Span& span, const Units& units) const;
  std::string why_not_cut(const Span& span) const;
  void mark_kept(const Span& span, Units* units);
  void fold(const Span& span, std::size_t at, int spatial);
  bool fold_forward(const Span& span, std::size_t at, const std::vector<float>& factors,
                    int spatial);
  bool fold_backward(const Span& span, std::size_t at, const std::vector<float>& factors);
  void become_scale(const std::vector<float>& factors, LayerParameter* bottleneck);
  void report_units(const Span& span, const Units& units);
  void cut(const Span& span, const Units& units, std::size_t selected_at);
  void select(const Span& span, const Units& units, std::size_t selected_at);
  CompressedNet finish();

  const NetParameter& model_;
  const CompressOptions& options_;
  NetParameter net_;
  std::set<std::string> sharing_;
  Rewrite rewrite_;
  /// The input's, where it gets shorter; else empty.
  std::vector<int> input_shape_;
  CompressReport report_;
};

void Compressor::compress_span(const Span& span) {
  const bool has_bottleneck = std::any_of(span.inner.begin(), span.inner.end(),
                                          [&](int i) { return is_bottleneck(layer(i)); });
  if (!has_bottleneck) return;
  Units units = find_units(span);
  check_units(span, units);
  const std::size_t selected_at = last_bottleneck(span);
  const std::string obstacle = why_not_cut(span);
  if (obstacle.empty()) {
    mark_kept(span, &units);
    report_units(span, units);
  }
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    if (!is_bottleneck(layer(span.inner[i]))) continue;
    if (!obstacle.empty()) note_stay(layer(span.inner[i]), obstacle);
    fold(span, i, units.spatial);
  }
  if (obstacle.empty()) cut(span, units, selected_at);
}

/// Sizes come from the weights that know them: the producer's, the consumer's, the bottlenecks'.
Compressor::Units Compressor::find_units(const Span& span) const {
  Units units;
  for (std::size_t i = 0; i < span.inner.size(); ++i)
    if (i < span.flatten_at && is_bottleneck(layer(span.inner[i])))
      units.channels = axis_size(layer(span.inner[i]).blobs(0), 0);
  if (span.producer != Span::kNone) units.channels = outputs_of(layer(span.producer));
  const LayerParameter& last = layer(span.inner[last_bottleneck(span)]);
  const int features =
      span.consumer != Span::kNone ? inputs_of(layer(span.consumer)) : axis_size(last.blobs(0), 0);
  if (units.channels == 0) units.channels = features;  // of the net's input, each by itself
  const bool flattens =
      span.flatten_at < span.inner.size() ||
      (span.consumer != Span::kNone && layer(span.consumer).type() == "InnerProduct");
  if (features % units.channels != 0 || (!flattens && features != units.channels))
    fail("layer '", last.name(), "': ", units.channels, " channels reach it, and behind it ",
         features, " inputs are stored");
  units.spatial = features / units.channels;
  units.kept.assign(units.channels, true);
  units.kept_features.assign(features, true);
  return units;
}

/// Throws Error unless each layer between holds as many values as units reach it.
void Compressor::check_units(const Span& span, const Units& units) const {
  bool channels_known = span.producer != Span::kNone;
  for (std::size_t i = 0; i < span.flatten_at; ++i)
    channels_known = channels_known || is_bottleneck(layer(span.inner[i]));
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    const LayerParameter& inner = layer(span.inner[i]);
    if (per_channel_blobs(inner) == 0 || (i < span.flatten_at && !channels_known)) continue;
    const int expected = units.channels * (i < span.flatten_at ? 1 : units.spatial);
    if (inner.blobs(0).data_size() != expected)
      fail("layer '", inner.name(), "' (", inner.type(), ") holds values for ",
           inner.blobs(0).data_size(), " units, and ", expected, " reach it");
  }
}

/// Units can go where both ends can shrink: a producer's outputs, or the net's own input if nothing
/// but a Flatten stands before the bottleneck; and a consumer's inputs. Empty where they can.
std::string Compressor::why_not_cut(const Span& span) const {
  const auto named = [this](int index) {
    return "layer '" + layer(index).name() + "' (" + layer(index).type() + ")";
  };
  if (span.wall_after != Span::kNone) return named(span.wall_after) + " behind it needs all";
  if (span.wall_before != Span::kNone) return named(span.wall_before) + " before it makes all";
  if (span.consumer == Span::kNone) return "they are the net's output";
  if (span.producer != Span::kNone) return "";
  if (layer(span.consumer).type() != "InnerProduct")
    return named(span.consumer) + " reads the whole input";
  const auto end = span.inner.begin() + static_cast<std::ptrdiff_t>(last_bottleneck(span));
  const auto other = std::find_if(span.inner.begin(), end, [this](int i) {
    return layer(i).type() != "Flatten" && !is_bottleneck(layer(i));
  });
  return other == end ? "" : named(*other) + " before it reads the whole input";
}

/// Takes what the bottlenecks drop out of the masks, where a zero reaches the consumer as a zero.
void Compressor::mark_kept(const Span& span, Units* units) {
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    const LayerParameter& bottleneck = layer(span.inner[i]);
    if (!is_bottleneck(bottleneck)) continue;
    if (const LayerParameter* shift = find_shift(span, i + 1)) {
      note_stay(bottleneck, "layer '" + shift->name() + "' (" + shift->type() +
                                ") behind it turns a zero into another value");
      continue;
    }
    const Mask mask = repeated(mask_of(bottleneck), i < span.flatten_at ? units->spatial : 1);
    for (std::size_t f = 0; f < mask.size(); ++f)
      units->kept_features[f] = units->kept_features[f] && mask[f];
  }
  for (int c = 0; c < units->channels; ++c) {
    const auto first = units->kept_features.begin() + c * units->spatial;
    units->kept[c] = std::any_of(first, first + units->spatial, [](bool kept) { return kept; });
  }
  if (count_kept(units->kept) == 0)
    fail("layer '", layer(span.inner[last_bottleneck(span)]).name(),
         "' and the bottlenecks before it would cut every unit together; train with a lower gamma ",
         "for them or a lower kl_weight, or give a higher --threshold");
}

/// What is left of each bottleneck's units, those that go for another one's sake not counted.
void Compressor::report_units(const Span& span, const Units& units) {
  for (std::size_t i = 0; i < span.inner.size(); ++i)
    if (is_bottleneck(layer(span.inner[i])))
      report_kept(layer(span.inner[i]), i < span.flatten_at ? units.kept : units.kept_features);
}

/// Puts mu, and 0 for what is dropped, into the weights after or before the bottleneck, and takes
/// the bottleneck out; where neither is exact it becomes a Scale layer.
void Compressor::fold(const Span& span, std::size_t at, int spatial) {
  const LayerParameter& bottleneck = layer(span.inner[at]);
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
  become_scale(factors, &edit(span.inner[at]));
}

bool Compressor::fold_forward(const Span& span, std::size_t at, const std::vector<float>& factors,
                              int spatial) {
  if (span.consumer == Span::kNone) return false;
  const bool positive = is_never_negative(factors);
  for (std::size_t i = at + 1; i < span.inner.size(); ++i)
    if (!commutes(layer(span.inner[i]), positive)) return false;
  std::vector<float> of_features;
  for (const float factor : factors) of_features.insert(of_features.end(), spatial, factor);
  LayerParameter& consumer = edit(span.consumer);
  scale_along(of_features, input_axis(consumer), consumer.mutable_blobs(0));
  return true;
}

bool Compressor::fold_backward(const Span& span, std::size_t at,
                               const std::vector<float>& factors) {
  const bool positive = is_never_negative(factors);
  for (std::size_t i = at; i-- > 0;) {
    const LayerParameter& before = layer(span.inner[i]);
    if (before.type() == "Scale") {
      for (BlobProto& blob : *edit(span.inner[i]).mutable_blobs()) scale_along(factors, 0, &blob);
      return true;
    }
    // Behind a Flatten a factor is one feature's, before it a channel's.
    if (before.type() == "Flatten" || !commutes(before, positive)) return false;
  }
  if (span.producer == Span::kNone) return false;
  LayerParameter& producer = edit(span.producer);
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
  select(span, units, selected_at);
  const bool is_input = span.producer == Span::kNone;
  const Mask coming = is_input ? Mask(units.channels, true) : units.kept;
  if (count_kept(coming) < units.channels) {
    LayerParameter& producer = edit(span.producer);
    keep_along(units.kept, output_axis(producer), producer.mutable_blobs(0));
    if (producer.blobs_size() > 1) keep_along(units.kept, 0, producer.mutable_blobs(1));
    state_outputs(count_kept(units.kept), &producer);
  }
  for (std::size_t i = 0; i < span.inner.size(); ++i) {
    if (is_bottleneck(layer(span.inner[i]))) continue;  // folded, and on its way out
    const Mask channels = i > selected_at ? units.kept : coming;
    const Mask features = i > selected_at ? units.kept_features : repeated(coming, units.spatial);
    const Mask& mask = i < span.flatten_at ? channels : features;
    if (per_channel_blobs(layer(span.inner[i])) == 0 || is_whole(mask)) continue;
    LayerParameter& inner = edit(span.inner[i]);
    for (int b = 0; b < per_channel_blobs(inner); ++b) keep_along(mask, 0, inner.mutable_blobs(b));
  }
  if (is_whole(units.kept_features)) return;
  LayerParameter& consumer = edit(span.consumer);
  keep_along(units.kept_features, input_axis(consumer), consumer.mutable_blobs(0));
}

/// Puts a selection behind the last bottleneck where more reaches it than shall go on.
void Compressor::select(const Span& span, const Units& units, std::size_t selected_at) {
  const bool is_input = span.producer == Span::kNone;
  const bool by_feature = selected_at >= span.flatten_at;
  const Mask coming = is_input ? Mask(units.channels, true) : units.kept;
  const Mask before = by_feature ? repeated(coming, units.spatial) : coming;
  const Mask& after = by_feature ? units.kept_features : units.kept;
  if (before == after) return;
  Mask selected;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i]) selected.push_back(after[i]);
  rewrite_.select_after(layer(span.inner[selected_at]).name(), selected, is_input);
  if (!is_input) return;
  report_.kept_inputs = kept_indices(after);
  input_shape_ = options_.input_shape;
  if (input_shape_.size() < 2) return;
  if (by_feature) input_shape_.resize(2);
  input_shape_[1] = count_kept(after);
}

CompressedNet Compressor::finish() {
  CompressedNet result;
  result.model = rewrite_.apply(model_, net_);
  result.weights = rewrite_.apply(net_, net_);
  result.deploy =
      rewrite_.deploy(result.weights, input_shape_.empty() ? options_.input_shape : input_shape_);
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
  return Rewrite().deploy(test_phase(model), input_shape);
}

std::string input_blob(const NetParameter& model) { return find_input(test_phase(model)); }

}  // namespace vibnet
