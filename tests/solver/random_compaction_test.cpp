#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "solver/compaction.h"
#include "support/outputs.h"
#include "support/random_graphs.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr double kTolerance = 1e-4;
constexpr float kKlWeight = 0.01F;

/// The net with no noise by position, with an eps that keeps BatchNorm from blowing up rounding
/// where a channel is constant, and with no layer in place: one in place overwrites what the
/// gradient of the one before it may need, as in Caffe.
NetParameter for_training(const NetParameter& model) {
  NetParameter net = model;
  net.clear_layer();
  net.set_force_backward(true);
  std::map<std::string, std::string> names;
  for (LayerParameter layer : model.layer()) {
    const bool in_place =
        layer.bottom_size() > 0 && layer.top_size() > 0 && layer.bottom(0) == layer.top(0);
    for (std::string& bottom : *layer.mutable_bottom())
      if (names.count(bottom) > 0) bottom = names.at(bottom);
    if (in_place) {
      names[layer.top(0)] = layer.name();
      layer.set_top(0, layer.name());
    }
    layer.clear_include();
    if (layer.type() == "Dropout") layer.mutable_dropout_param()->set_dropout_ratio(0);
    if (layer.type() == "BatchNorm") layer.mutable_batch_norm_param()->set_eps(0.1F);
    *net.add_layer() = layer;
  }
  return net;
}

NetOptions training() {
  NetOptions options;
  options.phase = TRAIN;
  return options;
}

void freeze(const LivingUnits& living, Net* net) {
  for (GateLayer* gate : net->gates()) {
    std::vector<bool> dead = living.at(gate->name());
    dead.flip();
    gate->freeze(dead);
  }
}

LivingUnits living_in(const Net& net) {
  LivingUnits living;
  for (const GateLayer* gate : net.gates()) living[gate->name()] = gate->kept();
  return living;
}

void set_inputs(const NamedValues& inputs, Net* net) {
  for (const std::string& name : net->input_names()) {
    const std::vector<float>& values = inputs.at(name).values;
    std::copy(values.begin(), values.end(), net->blob(name)->mutable_cpu_data());
  }
}

/// The outputs; sets the gradients that they shall have.
NamedValues run(const NamedValues& inputs, Net* net) {
  set_inputs(inputs, net);
  net->forward();
  NamedValues outputs;
  for (const std::string& name : net->output_names()) {
    Blob* blob = net->blob(name);
    outputs[name] = {blob->shape(), {blob->cpu_data(), blob->cpu_data() + blob->count()}};
    for (int i = 0; i < blob->count(); ++i)
      blob->mutable_cpu_diff()[i] = 1 + 0.5F * std::sin(static_cast<float>(i));
  }
  net->clear_gradients();
  return outputs;
}

/// The gradients as if they were weights.
NetParameter gradients_of(const Net& net) {
  NetParameter gradients = net.to_proto(true);
  for (LayerParameter& layer : *gradients.mutable_layer())
    for (BlobProto& blob : *layer.mutable_blobs()) {
      blob.mutable_data()->Swap(blob.mutable_diff());
      if (blob.data_size() == 0) blob.mutable_data()->Resize(blob.diff_size(), 0);
      blob.clear_diff();
    }
  return gradients;
}

/// All values of one after the other, by layer name.
NamedValues as_one(const NetParameter& net) {
  std::map<std::string, const LayerParameter*> layers;
  for (const LayerParameter& layer : net.layer())
    if (layer.blobs_size() > 0) layers[layer.name()] = &layer;
  BlobValues all;
  for (const auto& entry : layers)
    for (const BlobProto& blob : entry.second->blobs())
      all.values.insert(all.values.end(), blob.data().begin(), blob.data().end());
  all.shape = {static_cast<int>(all.values.size())};
  return {{"all", all}};
}

struct Compacted {
  int graphs = 0;
  int smaller = 0;
};

/// Those of a cut net's gates' units that were dead before and had to stay.
LivingUnits left_of(const LivingUnits& living, const CompactedNet& cut) {
  LivingUnits left;
  for (const auto& [name, units] : cut.kept)
    for (const int unit : units) left[name].push_back(living.at(name)[unit]);
  return left;
}

/// The same with every other dead unit still living.
LivingUnits half_of(LivingUnits living) {
  for (auto& entry : living)
    for (std::size_t unit = 0; unit < entry.second.size(); unit += 2) entry.second[unit] = true;
  return living;
}

void compact_for_training(std::uint32_t seed, Compacted* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = for_training(net_of(graph.prototxt));
  const NetParameter weights = random_graph_weights(graph, seed);
  const NamedValues inputs = noise_for(model, 1);
  Net whole(model, training());
  whole.context().kl_weight = kKlWeight;
  whole.copy_weights(weights, "weights", Missing::FAIL);
  const LivingUnits living = living_in(whole);
  freeze(living, &whole);
  const NamedValues expected = run(inputs, &whole);
  whole.backward();
  // Every other seed cuts in two steps.
  const CompactedNet first =
      compact(model, whole, {gradients_of(whole)}, seed % 2 == 0 ? living : half_of(living));
  Net between(first.model, training());
  between.copy_weights(first.weights, "weights after one cut", Missing::FAIL);
  const LivingUnits rest = left_of(living, first);
  const CompactedNet cut = compact(first.model, between, first.companions, rest);

  ++counts->graphs;
  if (cut.weights.ByteSizeLong() < weights.ByteSizeLong() * 3 / 4) ++counts->smaller;
  Net smaller(cut.model, training());
  smaller.context().kl_weight = kKlWeight;
  smaller.copy_weights(cut.weights, "smaller weights", Missing::FAIL);
  freeze(left_of(rest, cut), &smaller);
  EXPECT_LE(difference(expected, run(inputs, &smaller)), kTolerance);
  smaller.backward();
  EXPECT_LE(difference(as_one(cut.companions[0]), as_one(gradients_of(smaller))), kTolerance);
}

TEST(RandomCompaction, LeavesTheGradientsOfTheFrozenNet) {
  const auto counts = on_random_graphs(compact_for_training);
  if (counts.graphs == 1) return;
  EXPECT_GE(counts.smaller, counts.graphs / 4);
}

/// With layers in place, and such that are only there in TRAIN.
void compact_for_test(std::uint32_t seed, Compacted* counts) {
  const RandomGraph graph = random_graph(seed);
  const NetParameter model = net_of(graph.prototxt);
  const NamedValues inputs = noise_for(model, 1);
  Net whole(model, NetOptions());
  whole.copy_weights(random_graph_weights(graph, seed), "weights", Missing::FAIL);
  const LivingUnits living = living_in(whole);
  freeze(living, &whole);
  const CompactedNet cut = compact(model, whole, {}, living);
  ++counts->graphs;
  Net smaller(cut.model, NetOptions());
  smaller.copy_weights(cut.weights, "smaller weights", Missing::FAIL);
  freeze(left_of(living, cut), &smaller);
  EXPECT_LE(difference(run(inputs, &whole), run(inputs, &smaller)), kTolerance);
  EXPECT_NO_THROW(Net(cut.model, training()));
}

TEST(RandomCompaction, LeavesWhatTheFrozenNetComputes) { on_random_graphs(compact_for_test); }

}  // namespace
}  // namespace vibnet
